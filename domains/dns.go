package domains

import (
	"context"
	"errors"
	"fmt"
	"net"
)

const (
	// recordLabel is the label before the host name that holds the TXT record.
	recordLabel = "_tenantgate"
	// proofPrefix stands before the token, in the TXT record as in the answer of a web server.
	proofPrefix = "tenantgate-verification="
	// maxRecords is how many TXT records are looked at.
	maxRecords = 100
)

// RecordName returns the name at which the TXT record of a host name stands.
func RecordName(host string) string { return recordLabel + "." + host }

// Proof returns what the owner of a name publishes: the whole of a TXT record, and the whole answer of a web server.
func Proof(token string) string { return proofPrefix + token }

// errRecord is a name that has TXT records, but not the right one.
var errRecord = errors.New("no TXT record at this name has the token")

// checkDNS looks for the TXT record. The errors are made for those who claim the name.
func (v *Verifier) checkDNS(ctx context.Context, host, token string) error {
	ctx, cancel := context.WithTimeout(ctx, v.timeout)
	defer cancel()
	records, err := v.resolver.LookupTXT(ctx, RecordName(host)+".")
	if err != nil {
		return explainDNS(err)
	}
	for _, r := range records[:min(len(records), maxRecords)] {
		if same(r, Proof(token)) {
			return nil
		}
	}
	return errRecord
}

// explainDNS says what is wrong without the address of the resolver, which is the operator's affair.
func explainDNS(err error) error {
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return errors.New("there is no such record")
	case errors.As(err, &dns) && dns.IsTimeout, errors.Is(err, context.DeadlineExceeded):
		return errors.New("the name servers did not answer in time")
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("the check was ended: %w", context.Canceled)
	}
	return errors.New("the name servers gave no usable answer")
}
