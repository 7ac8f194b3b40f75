"""From what importers give to the tables of the contract: checked, merged, counted, in bounded memory."""
