package lab

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// kubernetesLimit is how long the API server may take for one thing: to answer, or to serve a type that was defined a
// moment ago.
const kubernetesLimit = 2 * time.Minute

// Kubernetes is an API server with its store. Nothing runs in it: it is there for operators, which are clients of it.
type Kubernetes struct {
	// Issuer is whom the tokens of service accounts are by, and for; Certificate has the key that proves them.
	Issuer, Certificate string

	lab      *Lab
	endpoint kubernetesEndpoint
	client   *http.Client
	process  *process
}

// kubernetesEndpoint is what an administrator needs to reach it.
type kubernetesEndpoint struct{ url, authority, token string }

// StartKubernetes starts a kube-apiserver on an etcd of its own, both given as paths of binaries.
func (l *Lab) StartKubernetes(ctx context.Context, etcd, apiserver string) (*Kubernetes, error) {
	authority, err := NewAuthority()
	if err != nil {
		return nil, err
	}
	pair, err := authority.Server()
	if err != nil {
		return nil, err
	}
	address, err := FreeAddress()
	if err != nil {
		return nil, err
	}
	k := &Kubernetes{
		Issuer: "https://kubernetes.default.svc", Certificate: pair.CertificatePEM,
		lab: l, endpoint: kubernetesEndpoint{"https://" + address, authority.PEM, rand.Text()},
		client: &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: authority.Pool()}}},
	}
	store, err := l.startEtcd(etcd)
	if err != nil {
		return nil, err
	}
	if err := k.startServer(apiserver, address, store, pair); err != nil {
		return nil, err
	}
	return k, k.process.await(ctx, kubernetesLimit, "the API server to be ready", func(ctx context.Context) error {
		_, err := k.call(ctx, http.MethodGet, "/readyz", nil)
		return err
	})
}

// startEtcd starts an etcd of one member, and returns where its clients reach it.
func (l *Lab) startEtcd(path string) (clients string, err error) {
	dir, err := l.subdirectory("etcd")
	if err != nil {
		return "", err
	}
	var addresses [2]string
	for i := range addresses {
		if addresses[i], err = FreeAddress(); err != nil {
			return "", err
		}
	}
	clients, peers := "http://"+addresses[0], "http://"+addresses[1]
	_, err = l.startIn(dir, path, []string{
		"--data-dir=data", "--unsafe-no-fsync", "--listen-client-urls=" + clients, "--advertise-client-urls=" + clients,
		"--listen-peer-urls=" + peers, "--initial-advertise-peer-urls=" + peers, "--initial-cluster=default=" + peers,
	}, nil)
	return clients, err
}

// startServer starts the API server, which waits for its store itself.
func (k *Kubernetes) startServer(path, address, store string, pair KeyPair) error {
	dir, err := k.lab.subdirectory("kubernetes")
	if err != nil {
		return err
	}
	certFile, keyFile, err := pair.write(dir)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "tokens.csv"), []byte(k.endpoint.token+",lab,lab,system:masters\n"), 0o600); err != nil {
		return err
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	k.process, err = k.lab.startIn(dir, path, []string{
		"--etcd-servers=" + store, "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", "--secure-port=" + port,
		"--endpoint-reconciler-type=none", // it refuses to announce a loopback address
		"--tls-cert-file=" + certFile, "--tls-private-key-file=" + keyFile,
		"--token-auth-file=tokens.csv", "--anonymous-auth=false", "--authorization-mode=AlwaysAllow",
		"--service-account-issuer=" + k.Issuer, "--service-account-key-file=" + certFile, "--service-account-signing-key-file=" + keyFile,
		"--service-cluster-ip-range=10.0.0.0/24",
		"--disable-admission-plugins=ServiceAccount", // it wants accounts that a controller makes
	}, nil)
	return err
}

// StartOperator starts a program that works there as an administrator.
func (k *Kubernetes) StartOperator(path string, args ...string) (*Program, error) {
	dir, err := k.lab.subdirectory("operator")
	if err != nil {
		return nil, err
	}
	config, err := k.endpoint.kubeconfig()
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, "kubeconfig"), config, 0o600); err != nil {
		return nil, err
	}
	started, err := k.lab.startIn(dir, path, args, []string{"KUBECONFIG=kubeconfig"})
	return &Program{started}, err
}

// kubeconfig is the file by which clients of Kubernetes find it, as JSON, which is YAML too.
func (e kubernetesEndpoint) kubeconfig() ([]byte, error) {
	type object = map[string]any
	const name = "lab"
	return json.Marshal(object{
		"apiVersion": "v1", "kind": "Config", "current-context": name,
		"contexts": []object{{"name": name, "context": object{"cluster": name, "user": name}}},
		"clusters": []object{{"name": name, "cluster": object{"server": e.url, "certificate-authority-data": []byte(e.authority)}}},
		"users":    []object{{"name": name, "user": object{"token": e.token}}},
	})
}

// Apply makes or changes the objects of a manifest. It waits for types that are not served yet.
func (k *Kubernetes) Apply(ctx context.Context, manifest string) error {
	for document := range strings.SplitSeq(manifest, "\n---\n") {
		path, err := objectPath(document)
		if err != nil {
			return err
		}
		err = k.process.await(ctx, kubernetesLimit, path+" to be taken", func(ctx context.Context) error {
			_, err := k.call(ctx, http.MethodPatch, path+"?fieldManager=lab&force=true", []byte(document))
			if refused := (statusError{}); errors.As(err, &refused) && !refused.mayPass() {
				return Final(err)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// objectPath is where the object of a document is in the API: in the namespace default, or in none when it defines a type.
func objectPath(document string) (string, error) {
	var object struct {
		APIVersion string `yaml:"apiVersion"`
		Kind       string
		Metadata   struct{ Name string }
	}
	if err := yaml.Unmarshal([]byte(document), &object); err != nil {
		return "", err
	}
	path := "/apis/" + object.APIVersion
	if !strings.Contains(object.APIVersion, "/") {
		path = "/api/" + object.APIVersion
	}
	if object.Kind != "CustomResourceDefinition" {
		path += "/namespaces/default"
	}
	return path + "/" + strings.ToLower(object.Kind) + "s/" + object.Metadata.Name, nil
}

// Watch tells see of one object of the namespace default as it is, and of each change, until ctx ends.
func (k *Kubernetes) Watch(ctx context.Context, api, kind, name string, see func(object json.RawMessage) error) error {
	path := fmt.Sprintf("%s/namespaces/default/%s?watch=true&timeoutSeconds=3600&fieldSelector=metadata.name=%s", api, kind, name)
	response, err := k.send(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	events := json.NewDecoder(response.Body)
	for {
		var event struct {
			Type   string
			Object json.RawMessage
		}
		if err := events.Decode(&event); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("watching %s: %w", path, err)
		}
		if event.Type == "ERROR" {
			return fmt.Errorf("watching %s: %s", path, event.Object)
		}
		if err := see(event.Object); err != nil {
			return err
		}
	}
}

// call is one call of the API, and its answer.
func (k *Kubernetes) call(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	response, err := k.send(ctx, method, path, body)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	return io.ReadAll(response.Body)
}

// send sends such a call; an answer that is no success is an error.
func (k *Kubernetes) send(ctx context.Context, method, path string, body []byte) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, k.endpoint.url+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+k.endpoint.token)
	if method == http.MethodPatch {
		request.Header.Set("Content-Type", "application/apply-patch+yaml")
	}
	response, err := k.client.Do(request)
	if err != nil || response.StatusCode < http.StatusMultipleChoices {
		return response, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return nil, errors.Join(statusError{method + " " + path, response.StatusCode, string(text)}, err)
}

// statusError is an answer of the API that is no success.
type statusError struct {
	call   string
	status int
	text   string
}

func (e statusError) Error() string { return fmt.Sprintf("%s: %d %s", e.call, e.status, e.text) }

// mayPass reports whether the same call may succeed later: a type is served some time after its definition.
func (e statusError) mayPass() bool {
	return e.status == http.StatusNotFound || e.status == http.StatusTooManyRequests || e.status >= http.StatusInternalServerError
}
