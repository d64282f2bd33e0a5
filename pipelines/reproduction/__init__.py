"""The paper in the small: settings by scale, the steps that they come to, and what is done."""
