package door

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Client is the address that a request comes from: the right-most one that is not of a trusted proxy. What anybody else says in
// X-Forwarded-For does not count. It is invalid if nobody can tell.
func Client(r *http.Request, trusted []netip.Prefix) netip.Addr {
	from, ok := address(r.RemoteAddr)
	if !ok {
		return netip.Addr{}
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		if !slices.ContainsFunc(trusted, func(proxy netip.Prefix) bool { return proxy.Contains(from) }) {
			return from
		}
		before, ok := address(strings.TrimSpace(hop))
		if !ok {
			return from
		}
		from = before
	}
	return from
}

// address reads an address, which may have a port.
func address(text string) (netip.Addr, bool) {
	found, err := netip.ParseAddr(strings.Trim(text, "[]"))
	if err != nil {
		with, err := netip.ParseAddrPort(text)
		if err != nil {
			return netip.Addr{}, false
		}
		found = with.Addr()
	}
	return found.Unmap().WithZone(""), true
}

// ParseProxies reads addresses of proxies, or ranges of them such as 10.0.0.0/8.
func ParseProxies(texts []string) ([]netip.Prefix, error) {
	var proxies []netip.Prefix
	for _, text := range texts {
		proxy, err := netip.ParsePrefix(text)
		if err != nil {
			address, notAddress := netip.ParseAddr(text)
			if notAddress != nil {
				return nil, notAddress
			}
			proxy = netip.PrefixFrom(address, address.BitLen())
		}
		proxies = append(proxies, proxy)
	}
	return proxies, nil
}
