package main

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

// inviteToPlay prints what a person needs in another terminal.
func (s *story) inviteToPlay(ctx context.Context) {
	fmt.Fprintf(s.out, "\nNow it is your turn. In another terminal:\n\n")
	if binary, err := lab.Binary(ctx, "vault"); err == nil {
		if onPath, err := exec.LookPath("vault"); err != nil || onPath != binary {
			fmt.Fprintf(s.out, "   export PATH=%s:$PATH\n", filepath.Dir(binary))
		}
	}
	fmt.Fprintf(s.out, `   export VAULT_ADDR=%[1]s VAULT_TOKEN=$(cat %[2]s)

   vault read %[3]s/creds/%[4]s
   vault write %[3]s/creds/%[4]s ttl=1m read_buckets=%[7]s
   vault list %[3]s/roles
   vault list sys/leases/lookup/%[3]s/creds/%[4]s
   vault lease revoke -prefix %[3]s/creds/%[4]s
   vault list -detailed %[3]s/tokens
   vault write %[3]s/tidy dry_run=true
   vault read %[3]s/tidy-status
   vault read %[3]s/check role=%[4]s
   vault path-help %[3]s

   tail -f %[5]s
   tail -f %[6]s

Ctrl-C stops both servers and removes their data.
`, s.vault.Address, s.vaultTokenFile, mount, role, s.vault.LogPath(), s.influx.LogPath(), bucket)
}
