package main

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
)

// inviteToPlay prints what a person needs in another terminal.
func (s *story) inviteToPlay() {
	fmt.Fprintf(s.out, "\nNow it is your turn. In another terminal:\n\n")
	if onPath, err := exec.LookPath(s.host.command); err != nil || onPath != s.host.binary {
		fmt.Fprintf(s.out, "   export PATH=%s:$PATH\n", filepath.Dir(s.host.binary))
	}
	var narrower, log string
	if s.core != nil {
		narrower, log = "ttl=1m", s.core.LogPath()
	} else {
		narrower, log = "ttl=1m read_buckets="+bucket, s.influx.LogPath()
	}
	fmt.Fprintf(s.out, `   export %[9]s_ADDR=%[1]s %[9]s_TOKEN=$(cat %[2]s)

   %[8]s read %[3]s/creds/%[4]s
   %[8]s write %[3]s/creds/%[4]s %[7]s
   %[8]s list %[3]s/roles
   %[8]s list sys/leases/lookup/%[3]s/creds/%[4]s
   %[8]s lease revoke -prefix %[3]s/creds/%[4]s
   %[8]s list -detailed %[3]s/tokens
   %[8]s write %[3]s/tidy dry_run=true
   %[8]s read %[3]s/tidy-status
   %[8]s read %[3]s/check role=%[4]s
   %[8]s path-help %[3]s

   tail -f %[5]s
   tail -f %[6]s

Ctrl-C stops both servers and removes their data.
`, s.vault.Address, s.vaultTokenFile, mount, role, s.vault.LogPath(), log, narrower,
		s.host.command, strings.ToUpper(s.host.command))
}
