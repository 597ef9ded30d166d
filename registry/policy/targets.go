package policy

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// ErrTarget: a webhook may not be sent there.
var ErrTarget = errors.New("policy: target of a webhook is not allowed")

// Targets are the operator's word on where webhooks may be sent besides the public
// Internet by HTTPS. The zero value allows nothing else.
type Targets struct {
	// Hosts may have any address and be called by plain HTTP: names, addresses, or
	// "*.example.org" for the names below.
	Hosts []string
	// Networks are addresses that any host may have.
	Networks []netip.Prefix
}

// URL returns ErrTarget unless a webhook may have this URL. What addresses its host
// has is seen when it is called.
func (t Targets) URL(raw string) error {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Host == "" || u.Opaque != "":
		return fmt.Errorf("%w: a URL like https://example.org/path is needed", ErrTarget)
	case u.User != nil:
		return fmt.Errorf("%w: the URL names a user", ErrTarget)
	case u.Fragment != "" || strings.Contains(raw, "#"):
		return fmt.Errorf("%w: the URL has a fragment", ErrTarget)
	}
	if strings.ContainsFunc(raw, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return fmt.Errorf("%w: the URL has a character that must be escaped", ErrTarget)
	}
	host := u.Hostname()
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return fmt.Errorf("%w: there is no such port", ErrTarget)
		}
	}
	switch {
	case u.Scheme == "http" && !t.named(host):
		return fmt.Errorf("%w: plain HTTP is for hosts that the operator allows", ErrTarget)
	case u.Scheme != "https" && u.Scheme != "http":
		return fmt.Errorf("%w: the scheme is https", ErrTarget)
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return t.Address(host, ip)
	}
	return nil
}

// Address returns ErrTarget unless a webhook to host may be sent to this address,
// which is to be the very one that is dialled: a name may have had another a moment
// ago.
func (t Targets) Address(host string, ip netip.Addr) error {
	ip = ip.Unmap()
	if t.named(host) || public(ip) {
		return nil
	}
	if slices.ContainsFunc(t.Networks, func(p netip.Prefix) bool { return p.Contains(ip.WithZone("")) }) {
		return nil
	}
	return fmt.Errorf("%w: its address is not on the public Internet", ErrTarget)
}

// named tells whether the operator allows the host by its name.
func (t Targets) named(host string) bool {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	return slices.ContainsFunc(t.Hosts, func(allowed string) bool {
		allowed = strings.ToLower(allowed)
		if domain, ok := strings.CutPrefix(allowed, "*"); ok {
			return strings.HasSuffix(host, domain) && len(host) > len(domain)
		}
		return host == strings.TrimSuffix(allowed, ".")
	})
}

// public tells whether an address is one of the public Internet's hosts: outside of all
// blocks of https://www.iana.org/assignments/iana-ipv4-special-registry and
// https://www.iana.org/assignments/iana-ipv6-special-registry. Addresses that hold
// another one (6to4, NAT64, Teredo) are left out too: they would lead to it.
func public(ip netip.Addr) bool {
	if !ip.IsGlobalUnicast() || ip.Zone() != "" {
		return false
	}
	if ip.Is6() && !unicast6.Contains(ip) {
		return false
	}
	return !slices.ContainsFunc(special, func(p netip.Prefix) bool { return p.Contains(ip) })
}

// unicast6 is what of IPv6 is assigned to hosts at all (RFC 4291).
var unicast6 = netip.MustParsePrefix("2000::/3")

// special are the blocks that IsGlobalUnicast takes for ordinary ones.
var special = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),       // this network
	netip.MustParsePrefix("10.0.0.0/8"),      // private
	netip.MustParsePrefix("100.64.0.0/10"),   // shared by carriers
	netip.MustParsePrefix("127.0.0.0/8"),     // loopback
	netip.MustParsePrefix("169.254.0.0/16"),  // link-local, and most clouds' metadata
	netip.MustParsePrefix("172.16.0.0/12"),   // private
	netip.MustParsePrefix("192.0.0.0/24"),    // protocol assignments
	netip.MustParsePrefix("192.0.2.0/24"),    // documentation
	netip.MustParsePrefix("192.88.99.0/24"),  // 6to4 relays
	netip.MustParsePrefix("192.168.0.0/16"),  // private
	netip.MustParsePrefix("198.18.0.0/15"),   // benchmarks
	netip.MustParsePrefix("198.51.100.0/24"), // documentation
	netip.MustParsePrefix("203.0.113.0/24"),  // documentation
	netip.MustParsePrefix("240.0.0.0/4"),     // reserved, and broadcast
	netip.MustParsePrefix("2001::/23"),       // protocol assignments, Teredo
	netip.MustParsePrefix("2001:db8::/32"),   // documentation
	netip.MustParsePrefix("2002::/16"),       // 6to4
	netip.MustParsePrefix("3fff::/20"),       // documentation
}
