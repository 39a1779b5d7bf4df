package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// StatusError is an answer of InfluxDB other than the expected one.
type StatusError struct {
	Method, Path string
	Status       int
	Body         string
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("%s %s: InfluxDB answered %d: %s", e.Method, e.Path, e.Status, e.Body)
}

// send is one HTTP call with a token (or none), and its answer whatever the status.
func (i *Influx) send(ctx context.Context, method, path, token string, body io.Reader) (int, []byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, i.URL+path, body)
	if err != nil {
		return 0, nil, err
	}
	if token != "" {
		request.Header.Set("Authorization", "Token "+token)
	}
	response, err := i.http.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	return response.StatusCode, answer, err
}

// manage is one call of the management API as the operator: JSON in (nil = no body), JSON out.
func manage[T any](ctx context.Context, i *Influx, method, path string, in any) (T, error) {
	var out T
	var body io.Reader
	if in != nil {
		encoded, err := json.Marshal(in)
		if err != nil {
			return out, err
		}
		body = bytes.NewReader(encoded)
	}
	status, answer, err := i.send(ctx, method, path, i.Operator, body)
	if err != nil {
		return out, err
	}
	if status/100 != 2 {
		message := strings.Join(strings.Fields(string(answer)), " ")
		return out, &StatusError{Method: method, Path: path, Status: status, Body: message}
	}
	if len(answer) > 0 {
		err = json.Unmarshal(answer, &out)
	}
	return out, err
}

// remove deletes one object of the management API.
func (i *Influx) remove(ctx context.Context, path string) error {
	_, err := manage[struct{}](ctx, i, http.MethodDelete, path, nil)
	return err
}
