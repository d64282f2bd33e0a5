"""The stages of the data rounds, a file each: what is done, with which settings. No Beam."""
