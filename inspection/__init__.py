"""Looking at a run; knows the tables, knows no Beam."""
