"""Published models: where they are stored, how they are found, and how they are verified before they are used."""
