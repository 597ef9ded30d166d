package client_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"sallyport/cmd/sallyport/client"
	"sallyport/sigv4"
)

// verified answers 200 if the request's signature is that of the secret.
func verified(secret string) http.HandlerFunc {
	verifier := &sigv4.Verifier{Region: "eu-test-1", Now: time.Now}
	return func(w http.ResponseWriter, r *http.Request) {
		path, query, _ := strings.Cut(r.RequestURI, "?")
		wire := sigv4.Request{Method: []byte(r.Method), Path: []byte(path), Query: []byte(query)}
		add := func(name, value string) {
			wire.Header = append(wire.Header, sigv4.Field{Name: []byte(name), Value: []byte(value)})
		}
		add("Host", r.Host)
		for name, values := range r.Header {
			for _, value := range values {
				add(name, value)
			}
		}
		var claim sigv4.Claim
		err := sigv4.Parse(&wire, &claim)
		if err == nil {
			key := sigv4.DeriveKey("SPTESTKEY", []byte(secret), time.Now().UTC().Format("20060102"), "eu-test-1", "s3")
			err = verifier.Verify(&wire, &claim, key)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
		_, _ = w.Write([]byte(`{"objects":[],"object_id":"obj_1"}`))
	}
}

func TestRequestsAreSigned(t *testing.T) {
	calls := map[string]func(*client.Client) error{
		"GET": func(c *client.Client) error { _, err := c.Profiles(context.Background()); return err },
		"GET with an odd query": func(c *client.Client) error {
			_, err := c.Objects(context.Background(), client.ObjectFilter{Profile: "a b+c/é=&", State: "~*'"}, 7)
			return err
		},
		"POST with a body": func(c *client.Client) error {
			_, err := c.CreateUpload(context.Background(), client.NewUpload{Filename: "é ü.txt"})
			return err
		},
		"DELETE of an odd name": func(c *client.Client) error { return c.RevokeKey(context.Background(), "a b/é+%") },
	}
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			for _, secret := range []string{"hidden-word", "another"} {
				server := httptest.NewServer(verified("hidden-word"))
				defer server.Close()
				c, err := client.New(client.Config{Endpoint: server.URL, AccessKey: "SPTESTKEY", SecretKey: secret, Region: "eu-test-1", Now: time.Now})
				if err != nil {
					t.Fatal(err)
				}
				if err := call(c); (err == nil) != (secret == "hidden-word") {
					t.Errorf("with the secret %q: %v", secret, err)
				}
			}
		})
	}
}

func TestToken(t *testing.T) {
	var got string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r.Header.Get("Authorization")
		_, _ = w.Write([]byte(`{}`))
	}))
	defer server.Close()
	c, err := client.New(client.Config{Endpoint: server.URL, Token: "spt_1", AccessKey: "SP", SecretKey: "x", Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Profiles(context.Background()); err != nil || got != "Bearer spt_1" {
		t.Errorf("sent %q, %v", got, err)
	}
}

func TestNoCredential(t *testing.T) {
	c, err := client.New(client.Config{Endpoint: "http://127.0.0.1:1", Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Profiles(context.Background()); err == nil || !strings.Contains(err.Error(), "SALLYPORT_ACCESS_KEY") {
		t.Errorf("error %v", err)
	}
}
