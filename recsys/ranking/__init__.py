"""One list out of many: fusion, filters, and the true reason why each song stands in it."""
