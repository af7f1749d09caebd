"""Everything that touches the network: one ``Client.send(Request) -> Response``."""
