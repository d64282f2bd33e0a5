"""Looking at a run; knows the tables, knows no Beam."""

from terminal.packages import check_environment

check_environment()
