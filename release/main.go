// Command release turns the archives that goreleaser has built into what is published, and checks it. It publishes
// nothing itself.
//
//	release key directory
//	release unlock cosign.key
//	release pack -version v0.2.0 -from bin/release dist
//	release sign -key cosign.key dist
//	release check -version v0.2.0 -key cosign.pub dist
//
// The password of the private key is in COSIGN_PASSWORD.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	command := ""
	if len(args) > 0 {
		command, args = args[0], args[1:]
	}
	flags := flag.NewFlagSet("release "+command, flag.ContinueOnError)
	version := flags.String("version", "", "pack, check: the version, with its v")
	from := flags.String("from", "bin/release", "pack: where goreleaser left the archives")
	key := flags.String("key", "", "sign: the file with the private key; check: the one with the public key, else that of the release")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 1 {
		return errors.New("say what to do (key, unlock, pack, sign, check), and in which directory, or with which key")
	}
	directory := flags.Arg(0)
	if (command == "pack" || command == "check") && !versionForm.MatchString(*version) {
		return fmt.Errorf("-version %q: must be v, and three numbers with dots between them, such as v0.2.0", *version)
	}
	switch command {
	case "key":
		return makeKey(directory)
	case "unlock": // so that a wrong password is found before all is built
		_, err := readKey(flags.Arg(0))
		return err
	case "pack":
		return pack(*version, *from, directory)
	case "sign":
		return sign(directory, *key)
	case "check":
		return check(*version, directory, *key)
	}
	return fmt.Errorf("%q: say key, unlock, pack, sign or check", command)
}
