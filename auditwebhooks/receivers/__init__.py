"""Django's signals, received and handed to ``capture`` and the queue."""
