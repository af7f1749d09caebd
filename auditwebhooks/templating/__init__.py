"""A webhook's body: JSON text with placeholders, and an event's payload -> the JSON that is sent.
Pure."""
