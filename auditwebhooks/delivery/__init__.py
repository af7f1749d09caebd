"""Event -> invocation -> call -> verdict -> row. Rows first, then the network, then one bulk
statement; no transaction is open across the network."""
