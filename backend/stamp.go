package backend

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// The kinds of our tokens. Those that belong to a lease are the only ones that die at their deadline.
const (
	kindLease  = "lease"
	kindStatic = "static"
	kindRoot   = "root"
)

// stamp is how we know our tokens again in InfluxDB, without Vault's storage: it ends their description and
// never changes.
//
//	[vault:v1:<mount uuid>:<kind>:<role>:<nonce>:<deadline>]
type stamp struct {
	mount, kind, role, nonce string
	// deadline is the last moment the token can rightly live: issue + maximum TTL + deadlineGrace. A static or root
	// token has none, which is written as 0.
	deadline time.Time
}

const stampStart = "[vault:"

func (s stamp) String() string {
	var deadline int64
	if !s.deadline.IsZero() {
		deadline = s.deadline.Unix()
	}
	return fmt.Sprintf("%sv1:%s:%s:%s:%s:%d]", stampStart, s.mount, s.kind, s.role, s.nonce, deadline)
}

// stampPattern is anchored at the end: a clone made in InfluxDB's interface goes on behind the stamp with
// "(cloned at …)" and is nobody's but its maker's.
var stampPattern = regexp.MustCompile(`\[vault:v1:([0-9a-fA-F-]{1,64}):([a-z]{1,16}):([\w.-]{1,128}):([0-9a-f]{1,64}):(0|[1-9]\d{0,11})\]$`)

// parseStamp reads the stamp at the end of a description.
func parseStamp(description string) (stamp, bool) {
	m := stampPattern.FindStringSubmatch(description)
	if m == nil {
		return stamp{}, false
	}
	seconds, err := strconv.ParseInt(m[5], 10, 64)
	if err != nil {
		return stamp{}, false
	}
	st := stamp{mount: m[1], kind: m[2], role: m[3], nonce: m[4]}
	if seconds != 0 {
		st.deadline = time.Unix(seconds, 0)
	}
	return st, true
}

// withoutStamp is the human part of a description.
func withoutStamp(description string) string {
	return strings.TrimSpace(stampPattern.ReplaceAllString(description, ""))
}

// unstamped keeps a text that others have a say in from passing for a stamp, or from hiding one behind a
// line break.
func unstamped(text string) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, text)
	return strings.ReplaceAll(text, stampStart, "(vault:")
}
