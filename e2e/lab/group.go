package lab

import (
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
)

// member is one process of a server's group.
type member struct {
	pid, group int
	command    string
}

// living lists the processes of this machine that wanted is true of. A zombie, whose new parent has
// not yet taken note of its end, is not living.
func living(ctx context.Context, wanted func(member) bool) ([]member, error) {
	out, err := exec.CommandContext(ctx, "ps", "-A", "-o", "pid=", "-o", "pgid=", "-o", "state=", "-o", "args=").Output()
	if err != nil {
		return nil, fmt.Errorf("listing processes with ps (Debian: apt-get install procps): %w", err)
	}
	var found []member
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		if len(fields) < 4 || strings.HasPrefix(fields[2], "Z") {
			continue
		}
		pid, err := strconv.Atoi(fields[0])
		if err != nil {
			return nil, fmt.Errorf("ps wrote %q where a process number belongs", fields[0])
		}
		group, err := strconv.Atoi(fields[1])
		if err != nil {
			return nil, fmt.Errorf("ps wrote %q where a process group belongs", fields[1])
		}
		if m := (member{pid: pid, group: group, command: fields[3]}); wanted(m) {
			found = append(found, m)
		}
	}
	return found, nil
}

func members(ctx context.Context, groups []int) ([]member, error) {
	return living(ctx, func(m member) bool { return slices.Contains(groups, m.group) })
}

// Living are those of the processes that still run.
func Living(ctx context.Context, pids []int) ([]int, error) {
	found, err := living(ctx, func(m member) bool { return slices.Contains(pids, m.pid) })
	return numbers(found), err
}

func numbers(found []member) []int {
	var pids []int
	for _, m := range found {
		pids = append(pids, m.pid)
	}
	return pids
}
