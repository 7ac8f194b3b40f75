"""What steers a list beside its ranking: how varied it is, how familiar, and where it leads."""
