package main

// host is the server that runs the plugin.
type host struct {
	// command is vault or bao, and binary where it is.
	command, binary string
}

// name is what the server is called.
func (h host) name() string {
	if h.command == "bao" {
		return "OpenBao"
	}
	return "Vault"
}
