package influx_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/influx"
)

// A proxy may repeat the request in its answer. Whatever it makes of it, the token is in no error.
func TestNoErrorHoldsTheToken(t *testing.T) {
	echoes := map[string]func(w http.ResponseWriter, authorization string){
		"in InfluxDB's form": func(w http.ResponseWriter, authorization string) {
			w.Header().Set("Content-Type", jsonType)
			w.WriteHeader(http.StatusBadRequest)
			_, _ = fmt.Fprintf(w, `{"code":"invalid","message":"bad header Authorization: %s read:%s"}`, authorization, authorization)
		},
		"as what would be needed": func(w http.ResponseWriter, authorization string) {
			w.Header().Set("Content-Type", jsonType)
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = fmt.Fprintf(w, `{"code":"unauthorized","message":"read:%s is unauthorized"}`, strings.Fields(authorization)[1])
		},
		"across the bound of messages": func(w http.ResponseWriter, authorization string) {
			w.Header().Set("Content-Type", jsonType)
			w.WriteHeader(http.StatusBadRequest)
			_, _ = fmt.Fprintf(w, `{"code":"invalid","message":"%s %s"}`, strings.Repeat("x", 280), authorization)
		},
		"encoded for a URL": func(w http.ResponseWriter, authorization string) {
			w.Header().Set("Content-Type", jsonType)
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = fmt.Fprintf(w, `{"code":"internal error","message":"%s"}`, url.QueryEscape(authorization))
		},
		"as text": func(w http.ResponseWriter, authorization string) {
			http.Error(w, authorization, http.StatusBadGateway)
		},
		"as a page that is a success": func(w http.ResponseWriter, authorization string) {
			_, _ = fmt.Fprint(w, authorization)
		},
		"as JSON that is a success": func(w http.ResponseWriter, authorization string) {
			_, _ = fmt.Fprintf(w, `{"id":%q,"links":%q}`, authorization, authorization)
		},
		"instead of HTTP": func(w http.ResponseWriter, authorization string) {
			connection, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				_, _ = fmt.Fprintf(connection, "%s\r\n\r\n", authorization)
				_ = connection.Close()
			}
		},
	}
	for says, echo := range echoes {
		t.Run(says, func(t *testing.T) {
			client := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Authorization") != "Token "+testToken {
					w.WriteHeader(http.StatusTeapot)
				}
				echo(w, r.Header.Get("Authorization"))
			})
			_, err := client.CreateAuthorization(t.Context(), influx.NewAuthorization{})
			e := failed(t, err)
			require.NotEqual(t, http.StatusTeapot, e.Status, "the token was not sent")
			value := strings.TrimRight(testToken, "=")[:40]
			require.NotContains(t, e.Error(), value)
			require.NotContains(t, e.Message, value)
			require.NotContains(t, e.Permission, value)
		})
	}
}

func TestATokenThatIsNoHeaderIsNotRepeated(t *testing.T) {
	client := dial(t, influx.Options{URL: deadURL, Token: "secret\nvalue"})
	_, err := client.Me(t.Context())
	e := failed(t, err)
	require.True(t, e.NotApplied())
	require.NotContains(t, e.Error(), "secret")
}

func TestMessagesAreShort(t *testing.T) {
	long := strings.Repeat("é\\n ", 400) // cut in the middle of a letter
	client := serve(t, envelope(400, "invalid", long).ServeHTTP)
	_, err := client.Me(t.Context())
	e := failed(t, err)
	require.LessOrEqual(t, len(e.Message), 300+len("…"))
	require.True(t, strings.HasPrefix(e.Message, "é é é"), e.Message)
	require.True(t, strings.HasSuffix(e.Message, "…"), e.Message)
	require.NotContains(t, e.Message, "\uFFFD")
}

// An error's body is read up to a bound: one without an end does not hold the call up.
func TestErrorBodiesAreBounded(t *testing.T) {
	for says, start := range map[string]struct{ content, body string }{
		"text": {"text/plain", ""},
		"JSON": {jsonType, `{"code":"invalid","message":"`},
	} {
		t.Run(says, func(t *testing.T) {
			client := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", start.content)
				w.WriteHeader(http.StatusBadRequest)
				_, err := w.Write([]byte(start.body))
				for err == nil {
					_, err = w.Write([]byte(strings.Repeat("x", 1<<10)))
				}
			})
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			_, err := list(ctx, client) // this one call has no time-out of its own
			require.NoError(t, ctx.Err(), "it was read for a minute")
			e := failed(t, err)
			require.Equal(t, influx.NotInfluxDB, e.Kind)
			require.Equal(t, http.StatusBadRequest, e.Status)
			require.Less(t, len(e.Error()), 500)
		})
	}
}

// So is a success that is read whole.
func TestSuccessesAreBounded(t *testing.T) {
	client := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		_, err := w.Write([]byte(`{"id":"`))
		for err == nil {
			_, err = w.Write([]byte(strings.Repeat("x", 1<<10)))
		}
	})
	_, err := client.Me(t.Context())
	e := failed(t, err)
	require.Equal(t, influx.Unavailable, e.Kind)
	require.NotContains(t, e.Error(), "no answer within")
}
