from django.contrib import admin

from project.access.models import AccessFlow, Bundle, Integration


@admin.register(Integration)
class IntegrationAdmin(admin.ModelAdmin):
    list_display = ("name", "kind", "status", "connected_on")
    list_filter = ("kind", "status")
    search_fields = ("name",)
    date_hierarchy = "connected_on"


@admin.register(Bundle)
class BundleAdmin(admin.ModelAdmin):
    list_display = ("name", "integration", "description")
    list_filter = ("integration",)
    list_select_related = ("integration",)
    search_fields = ("name", "description", "integration__name")
    autocomplete_fields = ("integration",)


@admin.register(AccessFlow)
class AccessFlowAdmin(admin.ModelAdmin):
    list_display = ("name", "status", "requesters", "approval", "approver", "max_hours")
    list_filter = ("status", "approval", "bundles")
    list_select_related = ("approver",)
    search_fields = ("name", "requesters", "bundles__name")
    filter_horizontal = ("bundles",)
    readonly_fields = ("updated_at",)
