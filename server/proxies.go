package server

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/valyala/fasthttp"
)

// TrustedProxies is the set of peers that are believed about the client they speak
// for. The zero value trusts nobody.
type TrustedProxies struct {
	nets []netip.Prefix
}

// ParseTrustedProxies reads addresses ("10.0.0.1") and networks ("10.0.0.0/8").
func ParseTrustedProxies(list []string) (TrustedProxies, error) {
	var p TrustedProxies
	for _, s := range list {
		if addr, err := netip.ParseAddr(s); err == nil {
			addr = addr.Unmap()
			p.nets = append(p.nets, netip.PrefixFrom(addr, addr.BitLen()))
			continue
		}
		prefix, err := netip.ParsePrefix(s)
		if err != nil {
			return TrustedProxies{}, fmt.Errorf("trusted proxy %q: neither an address nor a network", s)
		}
		p.nets = append(p.nets, prefix.Masked())
	}
	return p, nil
}

// Sent reports whether a request comes from one of them.
func (p TrustedProxies) Sent(ctx *fasthttp.RequestCtx) bool {
	return p.trusts(peerIP(ctx.RemoteAddr()))
}

func (p TrustedProxies) trusts(a netip.Addr) bool {
	for _, n := range p.nets {
		if n.Contains(a) {
			return true
		}
	}
	return false
}

// ClientIP returns the address of the client: the peer's, or, if that is a trusted
// proxy, the last one in X-Forwarded-For that is not.
func (p TrustedProxies) ClientIP(ctx *fasthttp.RequestCtx) netip.Addr {
	client := peerIP(ctx.RemoteAddr())
	if !p.trusts(client) {
		return client
	}
	lines := ctx.Request.Header.PeekAll(fasthttp.HeaderXForwardedFor)
	hops := strings.Split(string(bytes.Join(lines, []byte(","))), ",")
	for i := len(hops) - 1; i >= 0; i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break // what stands left of nonsense is hearsay
		}
		client = hop.Unmap().WithZone("")
		if !p.trusts(client) {
			break
		}
	}
	return client
}

// Secure reports whether the client came by TLS: to us, or to a trusted proxy that
// says so.
func (p TrustedProxies) Secure(ctx *fasthttp.RequestCtx) bool {
	if ctx.IsTLS() {
		return true
	}
	if !p.trusts(peerIP(ctx.RemoteAddr())) {
		return false
	}
	said := ctx.Request.Header.PeekAll(fasthttp.HeaderXForwardedProto)
	return len(said) == 1 && strings.EqualFold(string(said[0]), "https")
}

func peerIP(a net.Addr) netip.Addr {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	return tcp.AddrPort().Addr().Unmap().WithZone("")
}
