// Package process is the plugin's process: how it serves its host, ends with it, and how much of the machine it takes.
package process

import (
	"math"
	"os"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"github.com/hashicorp/vault/sdk/helper/pluginutil"
	"github.com/hashicorp/vault/sdk/logical"
	sdk "github.com/hashicorp/vault/sdk/plugin"
	"google.golang.org/grpc"
)

// Serve serves the backends of all mounts to the host that has started this process, and returns when it is to end. The
// error is that the process can't be locked into memory where it is told to be.
//
// It is the SDK's ServeMultiplex but for the gRPC server, which that leaves no say in.
func Serve(factory logical.Factory) error {
	limitProcessors()
	go endWithParent(os.Getppid())
	go tuneMemory(time.Tick(memoryInterval))
	if err := pluginutil.OptionallyEnableMlock(); err != nil {
		return err
	}
	logger := hclog.New(&hclog.LoggerOptions{Level: hclog.Trace, Output: os.Stderr, JSONFormat: true})
	served := plugin.PluginSet{sdk.BackendPluginName: &sdk.GRPCBackendPlugin{Factory: factory, MultiplexingSupport: true, Logger: logger}}
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig:  sdk.HandshakeConfig,
		VersionedPlugins: map[int]plugin.PluginSet{3: served, 4: served, 5: served}, // hosts of today speak 5
		Logger:           logger,
		GRPCServer:       newServer,
	})
	return nil
}

const (
	// workers are the goroutines that serve one request after the other. Each keeps its stack, which a new goroutine for
	// each request grows from nothing, copying it each time. More requests at once have goroutines of their own.
	workers = 32
	// window is how much a host may send of a request, and of all, before it was read. That it is fixed saves gRPC's
	// measuring of the connection, which asks the host for an echo along with most requests. Memory is taken by what
	// arrives, and not by this.
	window = 1 << 20
)

// newServer is the server of the SDK, with messages of any size, and with less work for each.
func newServer(options []grpc.ServerOption) *grpc.Server {
	return plugin.DefaultGRPCServer(append(options,
		grpc.MaxRecvMsgSize(math.MaxInt32), grpc.MaxSendMsgSize(math.MaxInt32),
		grpc.NumStreamWorkers(workers), grpc.InitialWindowSize(window), grpc.InitialConnWindowSize(window),
	))
}
