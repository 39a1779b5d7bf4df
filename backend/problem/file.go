package problem

import (
	"path"
	"slices"
	"strings"
)

// LooksLikeFile reports whether a value that should be what is in a file looks like the file's name.
func LooksLikeFile(value string) bool {
	const longest = 256
	value = strings.TrimSpace(value)
	if value == "" || len(value) > longest || strings.ContainsAny(value, "\r\n\t{[\"") {
		return false
	}
	for _, prefix := range []string{"@", "/", "./", "../", "~/"} {
		if strings.HasPrefix(value, prefix) {
			return true
		}
	}
	return slices.Contains([]string{".json", ".pem", ".crt", ".cert", ".cer", ".key", ".token", ".txt"}, strings.ToLower(path.Ext(value)))
}

// SendFile says how to send what is in a file as a field.
func SendFile(field string) string {
	return "looks like the name of a file; send what is in it, with the vault command as " + field + "=@<file>"
}
