"""Teaching a first actor and a first refiner: what a teacher says, and what of it is kept."""
