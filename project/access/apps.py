from django.apps import AppConfig


class AccessConfig(AppConfig):
    name = "project.access"
    label = "access"
    verbose_name = "Access"
