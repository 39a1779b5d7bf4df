package main

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"time"
)

// checkBinary checks a binary by what the compiler wrote into it, and, where it can run here, by its own word.
func checkBinary(binary []byte, p platform, version string) error {
	info, err := buildinfo.Read(bytes.NewReader(binary))
	if err != nil {
		return fmt.Errorf("its binary was not built by Go: %w", err)
	}
	built := map[string]string{}
	for _, setting := range info.Settings {
		built[setting.Key] = setting.Value
	}
	if built["GOOS"] != p.os || built["GOARCH"] != p.arch {
		return fmt.Errorf("its binary is for %s/%s, not for %s/%s", built["GOOS"], built["GOARCH"], p.os, p.arch)
	}
	if built["CGO_ENABLED"] != "0" {
		return errors.New("its binary needs a C library: build it with CGO_ENABLED=0")
	}
	if p.os == "linux" && len(binary) > maxBinary {
		return fmt.Errorf("its binary has %d bytes; at most %d are allowed", len(binary), maxBinary)
	}
	if p.os != runtime.GOOS || p.arch != runtime.GOARCH {
		return nil
	}
	return checkReported(binary, version)
}

// checkReported checks the version that the binary reports: Vault and OpenBao refuse any other.
func checkReported(binary []byte, version string) error {
	directory, err := os.MkdirTemp("", "binary")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(directory) }()
	path := filepath.Join(directory, product)
	if err := os.WriteFile(path, binary, 0o700); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	said, err := exec.CommandContext(ctx, path, "-version").Output()
	if err != nil {
		return fmt.Errorf("its binary does not run: %w", err)
	}
	if got := strings.TrimSpace(strings.TrimPrefix(string(said), product)); got != version {
		return fmt.Errorf("its binary reports version %s, not %s", got, version)
	}
	return nil
}

// checkBills checks the SBOMs: each names all modules that its binary was built from.
func (r *release) checkBills() error {
	var wrong []error
	for _, p := range platforms {
		if err := r.checkBill(p); err != nil {
			wrong = append(wrong, fmt.Errorf("%s: %w", p.sbom(r.version), err))
		}
	}
	return errors.Join(wrong...)
}

func (r *release) checkBill(p platform) error {
	content, err := os.ReadFile(r.path(p.sbom(r.version)))
	if err != nil {
		return err
	}
	var bill struct {
		Format   string `json:"bomFormat"`
		Metadata struct {
			Component component `json:"component"`
		} `json:"metadata"`
		Components []component `json:"components"`
	}
	if err := json.Unmarshal(content, &bill); err != nil || bill.Format != "CycloneDX" {
		return errors.New("is no CycloneDX document in JSON")
	}
	if bill.Metadata.Component != (component{product, r.version}) {
		return fmt.Errorf("is about %s %s", bill.Metadata.Component.Name, bill.Metadata.Component.Version)
	}
	info, err := buildinfo.Read(bytes.NewReader(r.binaries[p]))
	if err != nil {
		return err
	}
	listed := map[component]bool{}
	for _, c := range bill.Components {
		listed[c] = true
	}
	for _, module := range info.Deps {
		if c := componentOf(module); !listed[c] {
			return fmt.Errorf("does not list %s %s, which the binary holds", c.Name, c.Version)
		}
	}
	return nil
}

// component is one of CycloneDX.
type component struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

func componentOf(module *debug.Module) component {
	if module.Replace != nil {
		module = module.Replace
	}
	return component{module.Path, module.Version}
}
