// Command playground shows the plugin at work in a real Vault, against a real InfluxDB, step by step,
// and then leaves both servers running to play with (with -demo it stops them and ends).
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

func main() {
	demo := flag.Bool("demo", false, "stop after the demonstration instead of waiting for Ctrl-C")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	// After the first signal the next one ends the program at once; the lab's sentinels stop the servers.
	context.AfterFunc(ctx, stop)

	if err := play(ctx, *demo); err != nil {
		fmt.Fprintf(os.Stderr, "\nThe playground failed: %v\n", err)
		os.Exit(1)
	}
}

// play starts the servers, tells the story, and stops them whatever happened.
func play(ctx context.Context, demo bool) (err error) {
	servers, err := lab.New()
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			servers.Complaints(os.Stderr)
		}
		err = errors.Join(err, servers.Close())
		fmt.Println("\nEverything is stopped, and its data removed.")
	}()
	story := &story{lab: servers, narrator: narrator{out: os.Stdout}}
	if err := story.tell(ctx); err != nil {
		return err
	}
	if demo {
		return nil
	}
	story.inviteToPlay()
	<-ctx.Done()
	return nil
}
