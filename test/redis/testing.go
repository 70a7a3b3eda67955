package redis

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"
)

// Start is [Run] for a test: it fails the test, and the server ends with it.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	s, err := Run(t.TempDir(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s
}

// ClusterURL is the address of a cluster as a gateway is given it, with the user and the password if there are any.
func ClusterURL(nodes []*Server) string {
	url := nodes[0].URL()
	for _, s := range nodes[1:] {
		url += "," + s.addr
	}
	return url
}

// CA returns the certificates with which a client checks the server's.
func (s *Server) CA() *x509.CertPool { return certificatePool(s.CAFile()) }

// Do sends one command over a connection of its own.
func (s *Server) Do(args ...string) (rueidis.RedisResult, error) {
	o := rueidis.ClientOption{
		InitAddress: []string{s.addr}, ForceSingleClient: true, DisableCache: true,
		Username: s.options.User, Password: s.options.Password,
	}
	if s.options.TLS {
		o.TLSConfig = &tls.Config{RootCAs: s.CA(), MinVersion: tls.VersionTLS12}
	}
	client, err := rueidis.NewClient(o)
	if err != nil {
		return rueidis.RedisResult{}, err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	r := client.Do(ctx, client.B().Arbitrary(args...).Build())
	return r, r.Error()
}

// Must sends one command and fails the test when its answer is an error; nil is an answer.
func (s *Server) Must(t testing.TB, args ...string) rueidis.RedisResult {
	t.Helper()
	r, err := s.Do(args...)
	if err != nil && !rueidis.IsRedisNil(err) {
		t.Fatalf("%s: %v", strings.Join(args, " "), err)
	}
	return r
}

// Scripts returns how many scripts the server has run since it started: every EVALSHA and EVAL.
func (s *Server) Scripts(t testing.TB) int {
	t.Helper()
	return s.Calls(t, "evalsha", "eval")
}

// Calls returns how often these commands were called since the server started, also by scripts, by its own INFO commandstats.
func (s *Server) Calls(t testing.TB, commands ...string) int {
	t.Helper()
	text, err := s.Must(t, "INFO", "commandstats").ToString()
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for line := range strings.Lines(text) {
		name, rest, _ := strings.Cut(strings.TrimSpace(line), ":calls=")
		if name, ok := strings.CutPrefix(name, "cmdstat_"); ok && slices.Contains(commands, name) {
			calls, _, _ := strings.Cut(rest, ",")
			n, err := strconv.Atoi(calls)
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			total += n
		}
	}
	return total
}

// StartCluster starts a cluster of three primaries, without replicas, and waits until all of them know all slots. The
// rights of a user must include those to set it up: +cluster.
func StartCluster(t testing.TB, o Options) []*Server {
	t.Helper()
	const nodes, slots = 3, 16384
	list := make([]*Server, nodes)
	o.Cluster, o.Args = true, append([]string{"--cluster-node-timeout", "2000"}, o.Args...)
	for i := range list {
		list[i] = Start(t, o)
		first, last := i*slots/nodes, (i+1)*slots/nodes-1
		list[i].Must(t, "CLUSTER", "ADDSLOTSRANGE", strconv.Itoa(first), strconv.Itoa(last))
		list[i].Must(t, "CLUSTER", "SET-CONFIG-EPOCH", strconv.Itoa(i+1))
	}
	for _, s := range list[1:] {
		host, port, _ := net.SplitHostPort(s.addr)
		_, bus, _ := net.SplitHostPort(s.bus)
		list[0].Must(t, "CLUSTER", "MEET", host, port, bus)
	}
	deadline := time.Now().Add(startTimeout)
	for _, s := range list {
		for {
			err := s.clusterReady(nodes)
			if err == nil {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("the cluster does not form: %v", err)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	return list
}

// clusterReady returns nil when this node sees all slots served and all nodes.
func (s *Server) clusterReady(nodes int) error {
	r, err := s.Do("CLUSTER", "INFO")
	if err != nil {
		return err
	}
	info, err := r.ToString()
	if err != nil {
		return err
	}
	if !strings.Contains(info, "cluster_state:ok") || !strings.Contains(info, fmt.Sprintf("cluster_size:%d", nodes)) {
		return errors.New(info)
	}
	return nil
}
