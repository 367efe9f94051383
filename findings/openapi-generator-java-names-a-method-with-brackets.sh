#!/usr/bin/env bash
# openapi-generator generates a Java client that cannot be parsed if a oneOf contains an object and an array of objects.
#
# Expected: `oneOf: [Item, array of Item]` is a common body of a create that accepts one object or many. The generated union class has a
#   getter for each choice, with a valid Java name. The template of the library okhttp-gson does this: getListItem().
# Happens: with `--library native` (the HTTP client of the JDK, which needs no dependency) the getter of the array is declared as
#   `public List<Item> getList<Item>()`, with a type in angle brackets inside the method's name. The generator ends with exit code 0;
#   the compiler fails in its parser, so no part of the client can be used.
# Versions: openapi-generator 7.25.0 (PyPI's openapi-generator-cli), a JDK of 17 or later.
# Matters: an API that accepts one object or many cannot be used with this template. A test that checks only the exit code of the
#   generator does not find this.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check openapi-generator-cli==7.25.0

cat >openapi.json <<'JSON'
{
  "openapi": "3.0.3",
  "info": { "title": "Items", "version": "1" },
  "paths": {
    "/item": {
      "post": {
        "operationId": "createItems",
        "requestBody": {
          "required": true,
          "content": { "application/json": { "schema": { "$ref": "#/components/schemas/OneOrMany" } } }
        },
        "responses": { "204": { "description": "created" } }
      }
    }
  },
  "components": {
    "schemas": {
      "Item": { "type": "object", "required": ["name"], "properties": { "name": { "type": "string" } } },
      "OneOrMany": {
        "oneOf": [
          { "$ref": "#/components/schemas/Item" },
          { "type": "array", "items": { "$ref": "#/components/schemas/Item" } }
        ]
      }
    }
  }
}
JSON
for library in native okhttp-gson; do
  venv/bin/openapi-generator-cli generate -i openapi.json -g java --library "$library" -o "$library" >/dev/null 2>&1
  file=$(find "$library" -name OneOrMany.java)
  # Without the client's dependencies the compiler does not know some names. It parses first, and reports other errors only after that has succeeded.
  javac -proc:none -d classes "$file" >errors 2>&1 || true
  if grep -Eq "error: .*expected" errors; then parsed=no; else parsed=yes; fi
  echo "$library: exit code 0, parsed by javac: $parsed, getter: $(grep -Eo 'public List<Item> get[^ (]*\(\)' "$file")"
done >seen

echo "openapi-generator $(venv/bin/openapi-generator-cli version), $(javac -version 2>&1)"
cat seen
cat >expected <<'TXT'
native: exit code 0, parsed by javac: no, getter: public List<Item> getList<Item>()
okhttp-gson: exit code 0, parsed by javac: yes, getter: public List<Item> getListItem()
TXT
diff expected seen && echo "as described"
