"""Body templates: JSON first, placeholders inside its strings."""

from __future__ import annotations

import json
import math
import time
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from auditwebhooks.exceptions import TemplateRenderError, TemplateSyntaxError
from auditwebhooks.payload import DEFAULT_TEMPLATE, VARIABLES, sample
from auditwebhooks.templating.template import compile_template

# Texts that break engines which put values into JSON as text.
HOSTILE = [
    'He said "hi", \\ and left',
    "line one\nline two\r\n\ttab",
    "emoji \U0001f600 and \u2028",
    "nul \x00 bell \x07",
    "{{data.actor_id}}",
    '{{"{{"}} }} {{',
    "\ud800 alone",
    '", "admin": true, "x": "',
    "",
]


def payload(**data: Any) -> dict[str, Any]:
    """The sample event with other parts of ``data``."""
    event = sample(1764000000_123456000).as_dict()
    event["data"].update(data)
    return event


def render(template: str, **data: Any) -> str:
    return compile_template(template, VARIABLES).render(payload(**data))


def refusal(template: str) -> TemplateSyntaxError:
    with pytest.raises(TemplateSyntaxError) as caught:
        compile_template(template, VARIABLES)
    return caught.value


def place(template: str) -> tuple[int, int]:
    error = refusal(template)
    return error.line, error.column


def finite(value: Any) -> Any:
    """The value as JSON can hold it: NaN and infinities are null."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


# --- values -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "rendered"),
    [
        ("text", '"text"'),
        ("", '""'),
        ('a "quote" \\', '"a \\"quote\\" \\\\"'),
        ("\n\x00\x1f", '"\\n\\u0000\\u001f"'),
        ("\U0001f600é", '"\U0001f600é"'),
        (5, "5"),
        (-0.5, "-0.5"),
        (2**80, "1208925819614629174706176"),
        (True, "true"),
        (False, "false"),
        (None, "null"),
        ({}, "{}"),
        ({"b": [1, None], "a": "x"}, '{"b":[1,null],"a":"x"}'),
        ([[], "y", 0.1], '[[],"y",0.1]'),
        (float("nan"), "null"),
        ([float("inf"), {"deep": float("-inf")}], '[null,{"deep":null}]'),
    ],
)
def test_whole_string_placeholder_keeps_the_type(value, rendered):
    template = '{"x": "{{data.metadata.v}}"}'
    assert render(template, metadata={"v": value}) == f'{{"x":{rendered}}}'


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("text", "text"),
        ('a "quote"\n', 'a "quote"\n'),
        (5, "5"),
        (1.50, "1.5"),
        (True, "true"),
        (False, "false"),
        (None, ""),
        ({"a": ["x", None, True]}, '{"a":["x",null,true]}'),
        ([], "[]"),
    ],
)
def test_placeholder_in_longer_text_is_put_in_as_text(value, text):
    rendered = render('["<{{data.metadata.v}}>"]', metadata={"v": value})
    assert json.loads(rendered) == [f"<{text}>"]


@pytest.mark.parametrize("value", HOSTILE)
def test_value_is_never_expanded_again(value):
    template = '{"whole": "{{data.actor_name}}", "part": "by {{data.actor_name}}!"}'
    rendered = json.loads(render(template, actor_name=value, actor_id="MARK"))
    assert rendered == {"whole": value, "part": f"by {value}!"}


@pytest.mark.parametrize(
    "path",
    [
        "data.metadata.nothing",
        "data.metadata.nothing.below",
        "data.metadata.text.below",
        "data.metadata.text.0",
        "data.metadata.list.2",
        "data.metadata.list.-1",
        "data.metadata.list.x",
        "data.metadata.list.\u0661",
        "data.previous_target_object.name",
    ],
)
def test_open_path_that_leads_nowhere_gives_null(path):
    rendered = render(
        f'{{"x": "{{{{{path}}}}}", "y": "<{{{{{path}}}}}>"}}',
        metadata={"text": "abc", "list": [1, 2]},
        previous_target_object=None,
    )
    assert rendered == '{"x":null,"y":"<>"}'


@pytest.mark.parametrize(
    "placeholder",
    [
        "{{data.metadata.rows.1.b}}",
        "{{ data.metadata.rows.1.b }}",
        "{{data.metadata.rows.[1].[b]}}",
        "{{data.metadata.rows[1].b}}",
        "{{data.metadata.rows[1][b]}}",
        "{{\\n\\tdata.metadata.rows.1.b\\n}}",
    ],
)
def test_list_items_are_found_in_every_spelling(placeholder):
    metadata = {"rows": [{"b": 1}, {"b": 2}]}
    assert render(f'["{placeholder}"]', metadata=metadata) == "[2]"


@pytest.mark.parametrize(
    "placeholder",
    [
        '{{data.metadata.v|default:"x"|upper}}',
        '{{ data.metadata.v | default : "x" | upper }}',
        '{{data.metadata.v  |\n default:\t"x"\n|\nupper\n}}',
    ],
)
def test_space_between_the_parts_of_a_placeholder_does_not_matter(placeholder):
    assert render(json.dumps([placeholder]), metadata={}) == '["X"]'


def test_bracketed_key_may_hold_dots_and_spaces():
    rendered = render('["{{data.metadata.[a.b c]}}"]', metadata={"a.b c": 7})
    assert rendered == "[7]"


def test_digits_name_a_key_of_an_object():
    assert render('["{{data.metadata.0}}"]', metadata={"0": "zero"}) == '["zero"]'


def test_keys_are_rendered_as_text():
    rendered = render(
        '{"{{data.action}}": 1, "n-{{data.metadata}}": 2, "{{data.target_id}}": 3}',
        metadata={'q"': None},
        target_id=None,
    )
    assert json.loads(rendered) == {"update": 1, 'n-{"q\\"":null}': 2, "": 3}


def test_neighbours_of_one_object_do_not_disturb_each_other():
    template = (
        '["{{data.metadata.a}}", "{{data.metadata.gone}}", "{{data.metadata.b}}", '
        '"{{data.action}}", "{{data.metadata.a}}"]'
    )
    assert render(template, metadata={"a": 1, "b": "2"}) == '[1,null,"2","update",1]'


def test_neighbours_below_a_list_a_text_and_null_are_looked_up():
    template = '["{{data.metadata.v.0}}", "{{data.metadata.v.1}}"]'
    assert render(template, metadata={"v": ["a"]}) == '["a",null]'
    assert render(template, metadata={"v": "ab"}) == "[null,null]"
    assert render(template, metadata={}) == "[null,null]"


def test_payload_without_its_parts_renders_null():
    template = compile_template('["{{data.action}}", "{{event_id}}"]', VARIABLES)
    assert template.render({}) == "[null,null]"


# --- the text around ----------------------------------------------------------------------


def test_literal_braces_are_written_by_a_placeholder():
    template = '["{{\\"{{\\"}}", "a {{ \\"{{x}}\\" }} b", "}} { } {", "{{\\"\\"}}"]'
    assert json.loads(render(template)) == ["{{", "a {{x}} b", "}} { } {", ""]


def test_literal_takes_filters():
    assert render('["{{\\"abc\\"|upper}}"]') == '["ABC"]'


def test_numbers_and_words_are_sent_as_they_were_written():
    template = "[1.50, -0, 1E5, 12345678901234567890.10, true, false, null]"
    assert render(template) == "[1.50,-0,1E5,12345678901234567890.10,true,false,null]"


def test_strings_are_sent_with_the_same_content():
    template = '{"\\u0061\\/b": "\\ud83d\\ude00 \\"\\\\\\n \\u0000", "c d": [ ] , "e": { }}'
    assert render(template) == '{"a/b":"\U0001f600 \\"\\\\\\n \\u0000","c d":[],"e":{}}'


@pytest.mark.parametrize("text", ["", " ", "\n\t "])
def test_empty_template_means_no_body(text):
    assert render(text) == ""


@pytest.mark.parametrize(
    ("template", "rendered"),
    [('"{{data.action}}"', '"update"'), ("5", "5"), ('"{{data.metadata}}"', "{}")],
)
def test_document_may_be_a_single_value(template, rendered):
    assert render(template, metadata={}) == rendered


def test_compiled_template_is_remembered():
    assert compile_template('["{{event_id}}"]', VARIABLES) is compile_template(
        '["{{event_id}}"]', VARIABLES
    )


def test_variables_decide_what_may_be_named():
    template = compile_template('["{{a.b}}"]', ("a", "a.b"))
    assert template.render({"a": {"b": 1}}) == "[1]"
    with pytest.raises(TemplateSyntaxError):
        compile_template('["{{a.b}}"]', ("a",))


# --- what is refused ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("template", "line", "column"),
    [
        ("{{data}}", 1, 1),
        ('{"a": {{data.metadata}}}', 1, 7),
        ('{\n  "a": 1,\n  "b": {{ data.metadata }}\n}', 3, 8),
        ('["{{data.action}}", {{event_id}}]', 1, 21),
        ("{{{event_id}}: 1}", 1, 1),
        ('{ {{event_id}}: "x"}', 1, 3),
        ('{"a": "x" {{event_id}}}', 1, 11),
        ('{"a": {{event_id|default:"x"}}}', 1, 7),
        ('{"a": 5{{event_id}}}', 1, 8),
    ],
)
def test_unquoted_placeholder_is_refused_with_its_place(template, line, column):
    error = refusal(template)
    assert error.reason == "Put the placeholder in quotes; the type is kept."
    assert (error.line, error.column) == (line, column)
    assert str(error) == f"Line {line}, column {column}: {error.reason}"


@pytest.mark.parametrize(
    ("template", "line", "column"),
    [
        ("{", 1, 2),
        ('{"a": 1,\n "b" 2}', 2, 6),
        ('{"a": "x\ny"}', 1, 9),
        ("{\"a\": 'x'}", 1, 7),
        ('{"a": 01}', 1, 8),
        ('{"a": 1} {"b": 2}', 1, 10),
        ('\ufeff{"a": 1}', 1, 1),
        ('{"a":\u00a01}', 1, 6),
        ('{"a": "\\x"}', 1, 8),
    ],
)
def test_invalid_json_is_refused_with_its_place(template, line, column):
    error = refusal(template)
    assert error.reason.startswith("This is not valid JSON: ")
    assert (error.line, error.column) == (line, column)


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
def test_constant_that_is_no_json_is_refused(constant):
    error = refusal(f'{{"a":\n [{constant}]}}')
    assert error.reason == f"{constant} is not JSON."
    assert (error.line, error.column) == (2, 3)


def test_constant_is_found_behind_a_string_that_spells_it():
    assert place('{"NaN": 1,\n "a": NaN}') == (2, 7)


@pytest.mark.parametrize(
    ("template", "line", "column"),
    [
        ('{"a": 1, "a": 2}', 1, 10),
        ('{"a": 1,\n "\\u0061": 2}', 2, 2),
        ('[{"x": {"b": 1, "b": 1}}]', 1, 17),
        ('{"{{event_id}}": 1, "{{event_id}}": 1}', 1, 21),
    ],
)
def test_duplicate_key_is_refused(template, line, column):
    error = refusal(template)
    assert error.reason.startswith("The key ") and error.reason.endswith(" stands here twice.")
    assert (error.line, error.column) == (line, column)


def test_same_key_in_different_objects_is_fine():
    template = '{"a": {"a": [{"a": 1}, {"a": "a"}]}, "b": "a"}'
    assert render(template) == template.replace(" ", "")


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        (
            "nope",
            'There is no variable "nope". Known: event_id, event_type, event_time, data.',
        ),
        ("event_id.x", 'There is no variable "event_id.x". Known below "event_id": nothing.'),
        ("data.nope", 'There is no variable "data.nope". Known below "data": timestamp, action, '),
        ("Event_id", 'There is no variable "Event_id". Known: '),
        ("data.0", 'There is no variable "data.0". '),
    ],
)
def test_unknown_variable_is_refused_with_the_known_ones(path, reason):
    error = refusal(f'{{"a": "{{{{{path}}}}}"}}')
    assert error.reason.startswith(reason)
    assert (error.line, error.column) == (1, 10)


@pytest.mark.parametrize("path", ["[data.actor_id]", "[data.metadata].x", "data.[metadata.*]"])
def test_variable_is_not_spelled_as_one_bracketed_name(path):
    """It would pass for the path and find nothing."""
    assert refusal(f'["{{{{{path}}}}}"]').reason.startswith("There is no variable ")


def test_json_of_json_of_json_is_refused():
    """Each time the escapes double: thirty times would take all memory."""
    error = refusal('["{{event_id | json | json | upper | json}}"]')
    assert error.reason == 'The filter "json" stands here too often.'
    assert (error.line, error.column) == (1, 38)


def test_unknown_filter_is_refused_with_the_known_ones():
    error = refusal('["{{event_id | lower | reverse}}"]')
    assert error.reason == (
        'There is no filter "reverse". Known: default, epoch, iso, json, lower, truncate, upper.'
    )
    assert (error.line, error.column) == (1, 24)


@pytest.mark.parametrize(
    ("filters", "reason"),
    [
        ("upper:3", 'The filter "upper" takes no argument.'),
        ("default", 'The filter "default" needs an argument.'),
        ("truncate", 'The filter "truncate" needs an argument.'),
        (
            "truncate:-1",
            'The filter "truncate" needs a number of characters, such as truncate:100.',
        ),
    ],
)
def test_wrong_argument_is_refused(filters, reason):
    error = refusal(f'["{{{{event_id|{filters}}}}}"]')
    assert error.reason == reason
    assert (error.line, error.column) == (1, 14)


@pytest.mark.parametrize("argument", ["", "x", "'x'", "[1]", "{}", "NaN", "-"])
def test_argument_that_is_no_json_scalar_is_refused(argument):
    error = refusal(f'["{{{{event_id|default:{argument}}}}}"]')
    assert error.reason.startswith('Expected an argument for "default"')
    assert (error.line, error.column) == (1, 22)


@pytest.mark.parametrize("content", ["{{", "{{event_id", "{{event_id}", "x {{event_id | upper"])
def test_placeholder_without_end_is_refused(content):
    error = refusal(f'["{content}"]')
    assert error.reason == (
        'The placeholder has no end. Close it with }}, or write {{\\"{{\\"}} for the two braces '
        "themselves."
    )
    assert error.column == 3 + content.index("{{")


@pytest.mark.parametrize(
    ("inside", "known"),
    [
        *(("", ""), (" ", " "), (".a", ""), ("data.", "data."), ("data..action", "data.")),
        *(("event_id x", "event_id "), ("event_id|", "event_id|"), ("{event_id}", "")),
        *(("data.metadata[", "data.metadata"), ("[]", "")),
    ],
)
def test_malformed_placeholder_is_refused_where_it_stops_being_one(inside, known):
    error = refusal(f'["{{{{{inside}}}}}"]')
    assert error.reason == (
        "A placeholder is a path with optional filters, such as {{data.actor_id}} or "
        "{{data.timestamp|iso}}."
    )
    assert error.column == len('["{{' + known) + 1


@pytest.mark.parametrize(
    ("before", "columns"),
    [
        ("ab", 2),
        ("\\n", 2),
        ('\\"', 2),
        ("\\u00e9", 6),
        ("é", 1),
        ("\U0001f600", 1),
        ("\\ud83d\\ude00", 12),
        ("\\ud83d", 6),
        ("\\\\ud83d", 7),
    ],
)
def test_column_counts_the_characters_of_the_text(before, columns):
    assert place(f'{{\n "a": "{before}{{{{nope}}}}"}}') == (2, 8 + columns + 2)


# --- hostile templates --------------------------------------------------------------------


@pytest.mark.parametrize("bracket", ["[", '{"a":'])
def test_deep_nesting_is_refused(bracket):
    assert refusal(bracket * 100_000).reason == "The template is nested too deeply."


def test_number_of_any_length_is_sent_as_it_was_written():
    """Python refuses to convert integers of more than 4,300 digits."""
    template = f"[{'7' * 5000}]"
    assert render(template) == template


@pytest.mark.parametrize("argument", ["[" * 100_000, "9" * 5000])
def test_hostile_argument_is_refused(argument):
    assert refusal(f'["{{{{event_id|default:{argument}}}}}"]').column == 22


def test_list_position_of_any_length_gives_null():
    template = f'["{{{{data.metadata.list.{"9" * 5000}}}}}"]'
    assert render(template, metadata={"list": [1]}) == "[null]"


@pytest.mark.parametrize("text", ['[x"' + '\\"' * 12_000, "[x" + "{{" * 12_000])
def test_long_malformed_template_is_refused_quickly(text):
    started = time.perf_counter()
    assert isinstance(refusal(text), TemplateSyntaxError)
    assert time.perf_counter() - started < 1


def test_filter_that_cannot_do_its_work_fails_the_rendering():
    with pytest.raises(TemplateRenderError):
        render('["{{data.actor_id|iso}}"]')


# --- properties ---------------------------------------------------------------------------

texts = st.lists(
    st.sampled_from(HOSTILE) | st.text(st.characters(exclude_categories=()), max_size=8),
    max_size=3,
).map("".join)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


@given(
    data=st.fixed_dictionaries(dict.fromkeys(sample(0).as_dict()["data"], json_values)),
    top=st.tuples(json_values, json_values),
)
def test_seed_template_renders_any_values_to_equal_json(data, top):
    event = {"event_id": "x", "event_type": top[0], "event_time": top[1], "data": data}
    rendered = compile_template(DEFAULT_TEMPLATE, VARIABLES).render(event)
    del event["event_id"]
    assert json.loads(rendered) == finite(event)


@given(value=texts, before=texts, after=texts)
@example(value="{{data.actor_id}}", before="{", after="}")
def test_text_around_a_placeholder_and_its_value_stay_themselves(value, before, after):
    before, after = (part.replace("{{", "") for part in (before, after))
    # A brace right before the placeholder would open it one character early.
    string = json.dumps(f"{before.rstrip('{')}{{{{data.actor_name}}}}{after}")
    rendered = render(f'{{"k": {string}, "{{{{data.actor_name}}}}": 0}}', actor_name=value)
    assert json.loads(rendered) == {
        "k": f"{before.rstrip('{')}{value}{after}",
        value: 0,
    }


@given(text=st.text('{}[]":,|. \\\n0n-daeEi_xt', max_size=40))
def test_any_text_is_compiled_or_refused(text):
    try:
        template = compile_template(text, VARIABLES)
    except TemplateSyntaxError as error:
        assert 1 <= error.line <= text.count("\n") + 1
        assert 1 <= error.column <= len(text) + 1
    else:
        rendered = template.render(payload())
        assert is_json(rendered) if text.strip() else rendered == ""


# --- recipes ------------------------------------------------------------------------------

# The example payload of the page that this app is made after, to the letter.
SEED_PAGE_TEMPLATE = """{
    "event_type": "{{event_type}}",
    "event_time": "{{event_time}}",
    "data": {
        "timestamp": "{{data.timestamp}}",
        "action": "{{data.action}}",
        "actor_id": "{{data.actor_id}}",
        "actor_name": "{{data.actor_name}}",
        "actor_type": "{{data.actor_type}}",
        "source": "{{data.source}}",
        "target_id": "{{data.target_id}}",
        "target_type": "{{data.target_type}}",
        "target_name": "{{data.target_name}}",
        "metadata": "{{data.metadata}}",
        "current_target_object": "{{data.current_target_object}}",
        "previous_target_object": "{{data.previous_target_object}}"
    }
}"""

SLACK_TEMPLATE = """{
  "text": "{{data.actor_name}} did {{data.action|upper}} on {{data.target_name|truncate:20}}",
  "blocks": [
    {"type": "section", "text": {"type": "mrkdwn", "text": "*{{data.target_type}}*: {{data.target_name}}"}},
    {"type": "context", "elements": [
      {"type": "plain_text", "text": "{{data.timestamp|iso}} from {{data.metadata.ip|default:\\"nowhere\\"}}"}
    ]}
  ]
}"""  # noqa: E501 - as a user would type it

SPLUNK_TEMPLATE = """{
  "time": "{{data.timestamp|epoch}}",
  "host": "django", "sourcetype": "_json",
  "event": "{{data}}",
  "fields": {"actor": "{{data.actor_id|lower}}", "changed": "{{data.metadata.changed_fields}}"}
}"""

DATADOG_TEMPLATE = """[{
  "ddsource": "django",
  "ddtags": "action:{{data.action}},type:{{data.target_type}}",
  "message": "{{data|json}}",
  "service": "{{data.metadata.service|default:\\"shop\\"}}"
}]"""


def test_default_template_is_the_seed_pages():
    assert DEFAULT_TEMPLATE == SEED_PAGE_TEMPLATE


def hostile_data(text: str) -> dict[str, Any]:
    """The data of an event whose every free text is hostile."""
    return payload(
        actor_id=text,
        actor_name=text,
        target_name=text,
        target_type=text,
        metadata={"changed_fields": [text], text: text},
        current_target_object={"id": 1, "name": text},
        previous_target_object=None,
    )["data"]


@pytest.mark.parametrize("text", HOSTILE)
def test_seed_recipe(text):
    data = hostile_data(text)
    rendered = json.loads(render(SEED_PAGE_TEMPLATE, **data))
    assert rendered == {
        "event_type": "access.accessflow.updated",
        "event_time": "1764000000.123456000",
        "data": data,
    }
    assert list(rendered["data"]) == list(data)


@pytest.mark.parametrize("text", HOSTILE)
def test_slack_recipe(text):
    rendered = json.loads(render(SLACK_TEMPLATE, **hostile_data(text)))
    assert rendered == {
        "text": f"{text} did UPDATE on {text[:20]}",
        "blocks": [
            {"type": "section", "text": {"type": "mrkdwn", "text": f"*{text}*: {text}"}},
            {
                "type": "context",
                "elements": [
                    {
                        "type": "plain_text",
                        "text": "2025-11-24T16:00:00.123456Z from nowhere",
                    }
                ],
            },
        ],
    }


@pytest.mark.parametrize("text", HOSTILE)
def test_splunk_recipe(text):
    data = hostile_data(text)
    rendered = json.loads(render(SPLUNK_TEMPLATE, **data))
    assert rendered == {
        "time": 1764000000,
        "host": "django",
        "sourcetype": "_json",
        "event": data,
        "fields": {"actor": text.lower(), "changed": [text]},
    }


@pytest.mark.parametrize("text", HOSTILE)
def test_datadog_recipe(text):
    data = hostile_data(text)
    (rendered,) = json.loads(render(DATADOG_TEMPLATE, **data))
    message = rendered.pop("message")
    assert isinstance(message, str)
    assert json.loads(message) == data
    assert rendered == {
        "ddsource": "django",
        "ddtags": f"action:update,type:{text}",
        "service": "shop",
    }


def test_refusals_that_have_no_place_of_their_own_point_to_the_beginning():
    error = refusal("[" * 100_000 + "]" * 100_000)
    assert error.reason == "The template is nested too deeply."
    assert (error.line, error.column) == (1, 1)


def test_known_names_are_those_below_the_path():
    assert refusal('["{{data.action.x}}"]').reason == (
        'There is no variable "data.action.x". Known below "data.action": nothing.'
    )


def test_text_that_is_no_json_string_is_refused_with_what_is_needed():
    assert refusal('["{{\\"a\\\\q\\"}}"]').reason == (
        'Expected text in quotes, written as JSON, such as "x".'
    )
