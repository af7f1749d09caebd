"""The REST API, mounted by the host: ``path("api/audit/", include("auditwebhooks.api.urls"))``."""
