package granted

import (
	"slices"
	"testing"

	"github.com/pluginhost/pluginhost/sdk/api/schema"
)

func TestEveryServiceOfTheContractIsOffered(t *testing.T) {
	var offered, contract []string
	for _, offer := range offers() {
		offered = append(offered, offer.permission)
	}
	for _, service := range schema.Navidrome058().HostServices() {
		contract = append(contract, service.Permission)
	}
	slices.Sort(offered)
	slices.Sort(contract)
	if !slices.Equal(offered, contract) {
		t.Errorf("offered are %q, the contract has %q", offered, contract)
	}
}
