package config

import (
	"net/netip"
	"strings"
)

func (c *Config) validateWebhooks(k *check) {
	for _, h := range c.WebhooksAllowHosts {
		if _, err := netip.ParseAddr(h); err != nil && !isHostname(strings.TrimPrefix(h, "*.")) {
			k.fail("webhooks.allow_hosts", "%q is neither a host name, an address nor a pattern like *.example.org", h)
		}
	}
	for _, n := range c.WebhooksAllowNetworks {
		if _, err := netip.ParsePrefix(n); err != nil {
			k.fail("webhooks.allow_networks", "%q is not a network like 10.1.0.0/16", n)
		}
	}
}

// WebhookNetworks are the networks of webhooks.allow_networks.
func (c *Config) WebhookNetworks() []netip.Prefix {
	var all []netip.Prefix
	for _, n := range c.WebhooksAllowNetworks {
		if p, err := netip.ParsePrefix(n); err == nil { // validated when it was loaded
			all = append(all, p.Masked())
		}
	}
	return all
}
