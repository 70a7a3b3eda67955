package registry

import (
	"context"
	"database/sql/driver"
	"errors"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"

	"github.com/tursodatabase/libsql-client-go/libsql"
)

// errGone is returned without opening a file that was there and is there no longer: SQLite would make an empty one.
var errGone = errors.New("the file is gone")

// fileDrivers holds one connector of the driver for each file: its constructor leaves a goroutine behind, and a gateway opens
// its registry with every reload.
var fileDrivers = struct {
	sync.Mutex
	byDSN map[string]driver.Connector
}{byDSN: map[string]driver.Connector{}}

// driverOf returns the driver's connector for a file.
func driverOf(dsn string) (driver.Connector, error) {
	fileDrivers.Lock()
	defer fileDrivers.Unlock()
	if c := fileDrivers.byDSN[dsn]; c != nil {
		return c, nil
	}
	c, err := libsql.NewConnector(dsn)
	if err != nil {
		return nil, err
	}
	fileDrivers.byDSN[dsn] = c
	return c, nil
}

// fileConnector opens connections to an embedded registry, and sees to it that they all lead to the file that has the
// registry's name now. SQLite itself goes on with a file that was removed or replaced, as long as it has it open: readers
// would never hear of a backup that was put in its place, and what is written would be lost.
type fileConnector struct {
	base driver.Connector
	path string

	// generation counts the files that were seen under the path.
	generation atomic.Int64

	mu   sync.Mutex
	info fs.FileInfo // of the file that was seen last; nil before the first
	gone bool        // at the last look
	// files counts the files that were found in the place of another, reported those that who follows the changes knows of.
	files, reported int
}

// look sees which file has the path now. Connections to another, or to one that is gone, are used no more. On closing
// them SQLite leaves a file that has taken their place alone (SQLITE_FCNTL_HAS_MOVED).
func (c *fileConnector) look() error {
	info, err := os.Stat(c.path)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case errors.Is(err, fs.ErrNotExist) && c.info != nil:
		if !c.gone {
			c.gone = true
			c.generation.Add(1)
		}
		return errGone
	case err != nil:
		return nil //nolint:nilerr // SQLite says better what is wrong
	case c.info == nil:
		c.info = info
	case !os.SameFile(c.info, info):
		c.info = info
		c.files++
		c.generation.Add(1)
	}
	c.gone = false
	return nil
}

// found returns how many files were found in the place of another so far.
func (c *fileConnector) found() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.files
}

// report says that who follows the changes is told of so many files, and returns whether that is news.
func (c *fileConnector) report(files int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	news := files > c.reported
	c.reported = max(c.reported, files)
	return news
}

// Connect implements driver.Connector.
func (c *fileConnector) Connect(ctx context.Context) (driver.Conn, error) {
	if err := c.look(); err != nil {
		return nil, err
	}
	generation := c.generation.Load()
	base, err := c.base.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &fileConn{fileBase: base.(fileBase), of: c, generation: generation}, nil
}

// Driver implements driver.Connector.
func (c *fileConnector) Driver() driver.Driver { return c.base.Driver() }

// fileBase is what SQLite's connections can do.
type fileBase interface {
	driver.Conn
	driver.Pinger
	driver.ConnPrepareContext
	driver.ConnBeginTx
	driver.ExecerContext
	driver.QueryerContext
	driver.SessionResetter
	driver.Validator
}

// fileConn is a connection to one of the files that had the registry's name.
type fileConn struct {
	fileBase

	of         *fileConnector
	generation int64
}

// ResetSession implements driver.SessionResetter; it is called before each use but the first.
func (c *fileConn) ResetSession(ctx context.Context) error {
	if c.generation != c.of.generation.Load() {
		return driver.ErrBadConn
	}
	return c.fileBase.ResetSession(ctx)
}

var (
	_ driver.Connector       = (*fileConnector)(nil)
	_ driver.SessionResetter = (*fileConn)(nil)
)
