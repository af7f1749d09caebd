"""The application whose articles every side of the comparison writes; see ``__main__``."""
