package wasmrt

import (
	"errors"
	"sync"
	"sync/atomic"
)

// Shares of the memory of all guests, as its parts.
const (
	// mostShare is what one plugin may have: half.
	mostShare = 2
	// sparePart is kept for plugins that have little: the last eighth.
	sparePart = 8
	// littlePart is what such a plugin may come to have, besides what it took to load.
	littlePart = 32
)

// budget bounds the memory of all guests of a Runtime, and of what the host keeps for
// them, in bytes.
type budget struct {
	limit int64 // 0 is none
	used  atomic.Int64
	// reclaim closes idle instances to free n bytes, those of one account or, with nil, of
	// all. Where there are not enough of them it does nothing and reports false.
	reclaim func(n int64, of *account) bool

	mu       sync.Mutex
	accounts map[string]*account
}

// account is the part of a budget that one plugin has.
type account struct {
	budget *budget
	name   string
	// used is all that the plugin has, loaded the part of it that stays while the plugin
	// is loaded: code and images.
	used, loaded atomic.Int64
	modules      int // that have it; guarded by the budget's mu
}

// open returns the account of a plugin, which the caller closes. Without a name it is
// nobody else's.
func (b *budget) open(name string) *account {
	b.mu.Lock()
	defer b.mu.Unlock()
	a := b.accounts[name]
	if a == nil || name == "" {
		a = &account{budget: b, name: name}
		if name != "" {
			b.accounts[name] = a
		}
	}
	a.modules++
	return a
}

func (a *account) close() {
	a.budget.mu.Lock()
	defer a.budget.mu.Unlock()
	if a.modules--; a.modules == 0 && a.name != "" {
		delete(a.budget.accounts, a.name)
	}
}

// most is what the plugin may have.
func (a *account) most() int64 { return a.budget.limit / mostShare }

// reserve takes n bytes. The error is ErrPluginMemory if the plugin has its share already,
// and ErrHostMemory if all plugins together have all that there is for one which has so
// much.
func (a *account) reserve(n int64) error {
	if a.budget.limit <= 0 {
		a.take(n)
		return nil
	}
	for {
		used := a.used.Load()
		if used+n > a.most() {
			return ErrPluginMemory
		}
		if a.used.CompareAndSwap(used, used+n) {
			break
		}
	}
	if !a.budget.reserve(n, a.reach(0)) {
		a.used.Add(-n)
		return ErrHostMemory
	}
	return nil
}

// reach is up to where the plugin may fill the budget when it has n bytes more.
func (a *account) reach(n int64) int64 {
	limit := a.budget.limit
	if a.used.Load()-a.loaded.Load()+n <= limit/littlePart {
		return limit
	}
	return limit - limit/sparePart
}

func (b *budget) reserve(n, reach int64) bool {
	for {
		used := b.used.Load()
		if used+n > reach {
			return false
		}
		if b.used.CompareAndSwap(used, used+n) {
			return true
		}
	}
}

// reserveByReclaiming is reserve for a call that would be refused otherwise: idle
// instances make room for it, the plugin's own where the plugin has its share.
func (a *account) reserveByReclaiming(n int64) error {
	for {
		err := a.reserve(n)
		if err == nil {
			return nil
		}
		of, missing := a, a.used.Load()+n-a.most()
		if !errors.Is(err, ErrPluginMemory) {
			of, missing = nil, a.budget.used.Load()+n-a.reach(n)
		}
		if missing > 0 && !a.budget.reclaim(missing, of) {
			return err
		}
	}
}

// load is reserveByReclaiming for what stays while the plugin is loaded.
func (a *account) load(n int64) error {
	a.loaded.Add(n) // first: what is being loaded may take from the last part
	if err := a.reserveByReclaiming(n); err != nil {
		a.loaded.Add(-n)
		return err
	}
	return nil
}

// unload gives back what load took.
func (a *account) unload(n int64) {
	a.release(n)
	a.loaded.Add(-n)
}

// take takes n bytes that are there already.
func (a *account) take(n int64) {
	a.used.Add(n)
	a.budget.used.Add(n)
}

func (a *account) release(n int64) {
	a.used.Add(-n)
	a.budget.used.Add(-n)
}
