package main

import (
	"fmt"
	"path"
	"regexp"
	"strings"
)

const (
	product = "vault-plugin-secrets-influxdb"

	// Sums of what is published, and of the binaries in the archives: Vault and OpenBao ask for the latter.
	sumsName       = "SHA256SUMS"
	binarySumsName = "SHA256SUMS.binaries"
	signatureName  = sumsName + ".sig"

	// Keys have the names that cosign gives them.
	privateKeyName = "cosign.key"
	publicKeyName  = "cosign.pub"
)

// versionForm is what Vault and OpenBao take for a version, pre-releases included.
var versionForm = regexp.MustCompile(`^v\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$`)

// platform is one that binaries are built for; goreleaser's configuration names the same.
type platform struct {
	os, arch string
	// suffix is the architecture in file names.
	suffix string
	image  bool
}

var platforms = []platform{
	{os: "linux", arch: "amd64", suffix: "amd64", image: true},
	{os: "linux", arch: "arm64", suffix: "arm64", image: true},
	{os: "linux", arch: "arm", suffix: "armv6"},
	{os: "darwin", arch: "amd64", suffix: "amd64"},
	{os: "darwin", arch: "arm64", suffix: "arm64"},
	{os: "windows", arch: "amd64", suffix: "amd64"},
}

// base is the name of a platform's archive without its ending, and that of the directory in it.
func (p platform) base(version string) string {
	return fmt.Sprintf("%s_%s_%s_%s", product, strings.TrimPrefix(version, "v"), p.os, p.suffix)
}

func (p platform) archive(version string) string {
	if p.os == "windows" {
		return p.base(version) + ".zip"
	}
	return p.base(version) + ".tar.gz"
}

func (p platform) sbom(version string) string { return p.base(version) + ".cdx.json" }

// binary is the path of the binary in the archive.
func (p platform) binary(version string) string {
	name := product
	if p.os == "windows" {
		name += ".exe"
	}
	return path.Join(p.base(version), name)
}

func imageName(version string) string {
	return fmt.Sprintf("%s_%s_image.tar", product, strings.TrimPrefix(version, "v"))
}

// summed are the files that SHA256SUMS lists.
func summed(version string) []string {
	names := []string{binarySumsName, imageName(version)}
	for _, p := range platforms {
		names = append(names, p.archive(version), p.sbom(version))
	}
	return names
}

// published is all that a release consists of.
func published(version string) []string {
	return append(summed(version), sumsName, signatureName, publicKeyName)
}
