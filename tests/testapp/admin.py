"""An ordinary admin of the host's."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.contenttypes.admin import GenericTabularInline

from tests.testapp.models import Article, Membership, Note, Section, Tag, Team, Topic


class ArticleInline(admin.TabularInline):
    model = Article
    fields = ("title", "stars")
    extra = 0


class MembershipInline(admin.TabularInline):
    model = Membership
    extra = 0


class TagsInline(admin.TabularInline):
    model = Article.tags.through
    extra = 0


class NoteInline(GenericTabularInline):
    model = Note
    extra = 0


@admin.register(Article)
class ArticleAdmin(admin.ModelAdmin):
    fields = ("title", "stars", "tags")
    list_display = ("title", "stars")
    list_editable = ("stars",)


@admin.register(Tag)
class TagAdmin(admin.ModelAdmin):
    inlines = (TagsInline,)


@admin.register(Section)
class SectionAdmin(admin.ModelAdmin):
    inlines = (ArticleInline,)


@admin.register(Team)
class TeamAdmin(admin.ModelAdmin):
    fields = ("name",)
    inlines = (MembershipInline,)


@admin.register(Topic)
class TopicAdmin(admin.ModelAdmin):
    inlines = (NoteInline,)
