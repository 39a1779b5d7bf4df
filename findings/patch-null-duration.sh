#!/usr/bin/env bash
# With the SDK's merge patch, null clears a string, a number or a list, but leaves a duration as it is.
#
# Expected: "Null values will unset fields" (the function's own documentation, and RFC 7396): a PATCH of {"ttl":null} sets
# the ttl back.
# Seen: text, a number, a flag and a list become empty; a field of type TypeDurationSecond, TypeSignedDurationSecond or
# TypeTime keeps its value, and the call succeeds. Besides, "unset" means a zero value: no key goes away.
# Where: github.com/hashicorp/vault/sdk v0.25.1, framework/backend.go: HandlePatchOperation patches only what GetOkErr finds,
# and framework/field_data.go: getPrimitive reports a null of these three types as not given.
# Why it matters: on an engine built on it, a PATCH that takes a role's max_ttl away succeeds, and the limit is still there.
# What we do: our PATCH does not use it. null and "" clear a field of any type (docs/api.md).
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
export GOWORK=off GOFLAGS=-mod=mod

cat >main.go <<'GO'
package main

import (
	"fmt"

	"github.com/hashicorp/vault/sdk/framework"
)

func main() {
	input := &framework.FieldData{
		Raw: map[string]any{"at": nil, "delay": nil, "flag": nil, "list": nil, "number": nil, "text": nil, "ttl": nil},
		Schema: map[string]*framework.FieldSchema{
			"at":     {Type: framework.TypeTime},
			"delay":  {Type: framework.TypeSignedDurationSecond},
			"flag":   {Type: framework.TypeBool},
			"list":   {Type: framework.TypeCommaStringSlice},
			"number": {Type: framework.TypeInt},
			"text":   {Type: framework.TypeString},
			"ttl":    {Type: framework.TypeDurationSecond},
		},
	}
	stored := map[string]any{
		"at": "2026-01-01T00:00:00Z", "delay": 30, "flag": true, "list": []string{"a"}, "number": 7, "text": "b", "ttl": 3600,
	}
	patched, err := framework.HandlePatchOperation(input, stored, nil)
	fmt.Printf("%s, error: %v\n", patched, err)
}
GO
go mod init finding 2>log && go get github.com/hashicorp/vault/sdk/framework@v0.25.1 2>>log || { cat log >&2; exit 1; }
go list -m github.com/hashicorp/vault/sdk
go run . | tee seen

diff seen - <<'END'
{"at":"2026-01-01T00:00:00Z","delay":30,"flag":false,"list":[],"number":0,"text":"","ttl":3600}, error: <nil>
END
echo "As stated."
