#!/usr/bin/env bash
# `crane push --index` of an OCI layout with one image index under two tags pushes an index of two indexes, out of which only
# linux/amd64 can be pulled.
#
# Expected: the image index that the layout holds, as `crane push` without --index pushes one, with an image for each platform.
# Seen: what is pushed is the layout's own index.json, which names that index twice, and for no platform. crane takes an entry
# without a platform for linux/amd64, follows it, and finds that image; for linux/arm64 it says `no child with platform
# linux/arm64`. Without --index a layout of two entries is refused: `layout contains 2 entries, consider --index`.
# Where: github.com/google/go-containerregistry v0.22.1: cmd/crane/cmd/push.go (loadImage), pkg/v1/remote/descriptor.go
# (the default platform).
# Why it matters: who pushes from a machine of the usual kind sees nothing wrong; servers on arm64 can't fetch the image.
# What we do: a release's layout has one entry (release/image.go), which the docs push without --index; make release-test does
# that, and asks for each platform.
set -euo pipefail

dir=$(mktemp -d)
trap 'kill "${registry:-}" 2>/dev/null || true; chmod -R u+w "$dir"; rm -rf "$dir"' EXIT
cd "$dir"
export GOWORK=off GOFLAGS=-mod=mod CGO_ENABLED=0 GOBIN="$dir/bin"
go install github.com/google/go-containerregistry/cmd/crane@v0.22.1 2>/dev/null
crane=$dir/bin/crane

cat >main.go <<'GO'
package main

import (
	"os"
	"strconv"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
)

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// Writes a layout with one index for two platforms under so many tags.
func main() {
	var index v1.ImageIndex = empty.Index
	for _, architecture := range []string{"amd64", "arm64"} {
		config := must(empty.Image.ConfigFile()).DeepCopy()
		config.OS, config.Architecture = "linux", architecture
		image := must(mutate.ConfigFile(empty.Image, config))
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add: image, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: architecture}},
		})
	}
	images := must(layout.Write(os.Args[1], empty.Index))
	for tag := range must(strconv.Atoi(os.Args[2])) {
		name := map[string]string{"org.opencontainers.image.ref.name": "v" + strconv.Itoa(tag)}
		if err := images.AppendIndex(index, layout.WithAnnotations(name)); err != nil {
			panic(err)
		}
	}
}
GO
go mod init finding 2>/dev/null
go get github.com/google/go-containerregistry@v0.22.1 2>/dev/null
go mod tidy 2>/dev/null
go run . one 1
go run . two 2

"$crane" registry serve --address 127.0.0.1:0 2>serving & registry=$!
until address=127.0.0.1:$(grep -o "[0-9]*$" serving); do kill -0 "$registry"; done
pulls() { # pulls NAME ARCHITECTURE
  "$crane" config --platform "linux/$2" "$address/$1" 2>said | grep -o '"architecture":"[a-z0-9]*"' || grep -o 'no child with platform.*' said
}
{
  "$crane" version
  "$crane" push one "$address/one" >/dev/null 2>&1 && echo "one entry: pushed"
  pulls one amd64
  pulls one arm64
  "$crane" push two "$address/two" 2>&1 | grep -o 'layout contains 2 entries, consider --index' || true
  "$crane" push --index two "$address/two" >/dev/null 2>&1 && echo "two entries, --index: pushed"
  pulls two amd64
  pulls two arm64
} | tee seen

diff <(tail -n +2 seen | sed 's/ in index.*//') - <<'END'
one entry: pushed
"architecture":"amd64"
"architecture":"arm64"
layout contains 2 entries, consider --index
two entries, --index: pushed
"architecture":"amd64"
no child with platform linux/arm64
END
echo "As stated."
