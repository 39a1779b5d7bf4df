package lab

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// ErrNoCommit says that the source of a commit can't be had here.
var ErrNoCommit = errors.New("the source of that commit is not here")

// PluginOf builds the plugin as a commit of this repository has it. Without git, or where the repository lacks the commit,
// the error is ErrNoCommit.
func (l *Lab) PluginOf(ctx context.Context, commit, version string) (Plugin, error) {
	source, err := l.sourceOf(ctx, commit)
	if err != nil {
		return Plugin{}, err
	}
	return l.once(pluginCommand+"_"+version+"_"+commit, version, func(path string) error {
		return build(ctx, source, path, "./cmd/"+pluginCommand, "-ldflags", versionFlag(version))
	})
}

// sourceOf extracts a commit into the lab's directory, and returns where it is.
func (l *Lab) sourceOf(ctx context.Context, commit string) (string, error) {
	root, err := repositoryRoot()
	if err != nil {
		return "", err
	}
	if out, err := exec.CommandContext(ctx, "git", "-C", root, "cat-file", "-e", commit+"^{commit}").CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w (%s; a shallow clone? then: git fetch --unshallow): %w: %s", ErrNoCommit, commit, err, out)
	}
	dir := filepath.Join(l.dir, "source_"+commit)
	archive := dir + ".zip"
	if out, err := exec.CommandContext(ctx, "git", "-C", root, "archive", "--format=zip", "-o", archive, commit).CombinedOutput(); err != nil {
		return "", fmt.Errorf("git archive %s: %w\n%s", commit, err, out)
	}
	files, err := zip.OpenReader(archive)
	if err != nil {
		return "", err
	}
	defer files.Close()
	return dir, os.CopyFS(dir, files)
}
