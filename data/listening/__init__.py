"""What listening says: sessions, and pairs of songs that listeners respond to alike."""
