package policy_test

import (
	"errors"
	"net/netip"
	"testing"

	"sallyport/registry/policy"
)

func TestTargetAddresses(t *testing.T) {
	for _, c := range []struct {
		ip    string
		allow bool
	}{
		{"127.0.0.1", false}, {"127.255.255.254", false}, {"::1", false}, {"0.0.0.0", false}, {"0.1.2.3", false}, {"::", false},
		{"10.0.0.1", false}, {"172.16.0.1", false}, {"172.31.255.255", false}, {"192.168.1.1", false},
		{"169.254.169.254", false}, {"fe80::1", false}, {"fe80::1%eth0", false}, {"fd00:ec2::254", false}, {"fc00::1", false},
		{"100.64.0.1", false}, {"192.0.0.1", false}, {"192.0.2.1", false}, {"198.18.0.1", false}, {"203.0.113.9", false},
		{"224.0.0.1", false}, {"239.255.255.250", false}, {"255.255.255.255", false}, {"240.0.0.1", false}, {"ff02::1", false},
		{"::ffff:127.0.0.1", false}, {"::ffff:10.0.0.1", false}, {"::127.0.0.1", false},
		{"64:ff9b::7f00:1", false}, {"64:ff9b:1::1", false}, {"2002:7f00:1::", false}, {"2001:0:1::", false}, {"2001:db8::1", false},
		{"fec0::1", false}, {"100::1", false}, {"5f00::1", false}, {"3fff::1", false},
		{"93.184.216.34", true}, {"::ffff:93.184.216.34", true}, {"2606:2800:220:1:248:1893:25c8:1946", true},
		{"172.32.0.1", true}, {"100.128.0.1", true}, {"169.253.1.1", true}, {"192.0.1.1", true},
	} {
		err := policy.Targets{}.Address("example.org", netip.MustParseAddr(c.ip))
		if (err == nil) != c.allow || err != nil && !errors.Is(err, policy.ErrTarget) {
			t.Errorf("%s: %v", c.ip, err)
		}
	}
}

func TestTargetsTheOperatorAllows(t *testing.T) {
	some := policy.Targets{
		Hosts:    []string{"Hooks.corp.example", "*.lab.example", "10.9.9.9"},
		Networks: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fd12::/16")},
	}
	for _, c := range []struct {
		host, ip string
		allow    bool
	}{
		{"hooks.corp.example", "127.0.0.1", true},
		{"HOOKS.corp.example.", "169.254.169.254", true},
		{"evil-hooks.corp.example", "127.0.0.1", false},
		{"a.lab.example", "192.168.0.1", true},
		{"lab.example", "192.168.0.1", false},
		{"evillab.example", "192.168.0.1", false},
		{".lab.example", "192.168.0.1", false},
		{"10.9.9.9", "10.9.9.9", true},
		{"any.example", "10.1.2.3", true},
		{"any.example", "::ffff:10.1.2.3", true},
		{"any.example", "10.2.0.1", false},
		{"any.example", "fd12::1", true},
		{"any.example", "fd13::1", false},
	} {
		if err := some.Address(c.host, netip.MustParseAddr(c.ip)); (err == nil) != c.allow {
			t.Errorf("%s at %s: %v", c.host, c.ip, err)
		}
	}
}

func TestTargetURLs(t *testing.T) {
	some := policy.Targets{Hosts: []string{"hooks.corp.example", "127.0.0.1"}}
	for _, c := range []struct {
		url   string
		allow bool
	}{
		{"", false}, {"example.org", false}, {"/path", false}, {"https://", false}, {"https:example.org", false},
		{"ftp://example.org/", false}, {"file:///etc/passwd", false}, {"gopher://hooks.corp.example/", false},
		{"http://example.org/", false}, {"https://user@example.org/", false}, {"https://u:p@example.org/", false},
		{"https://example.org/#x", false}, {"https://example.org/#", false}, {"https://example.org:0/", false}, {"https://example.org:99999/", false},
		{"https://exämple.org/", false}, {"https://example.org/a b", false}, {"https://example.org/\r\nHost: x", false},
		{"https://10.0.0.1/", false}, {"https://[::1]/", false}, {"https://[fe80::1%25eth0]/", false}, {"https://169.254.169.254/latest", false},
		{"https://example.org", true}, {"https://example.org:8443/a?b=c", true}, {"HTTPS://example.org/", true},
		{"https://93.184.216.34/", true}, {"http://hooks.corp.example/", true}, {"http://hooks.corp.example:8080/", true},
		{"http://127.0.0.1:1/", true}, {"https://localhost/", true}, // refused when it is called
	} {
		err := some.URL(c.url)
		if (err == nil) != c.allow || err != nil && !errors.Is(err, policy.ErrTarget) {
			t.Errorf("%q: %v", c.url, err)
		}
	}
}
