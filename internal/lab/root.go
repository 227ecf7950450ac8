package lab

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// A host's root is the machine's own, seen through overlays: what the host
// changes goes to its own disk (its directory in the lab) and to nobody else.

// overlaid are the machine's directories that a host may change for itself.
// /var as a whole cannot be one, since the lab itself lies in /var/tmp.
var overlaid = []string{
	"/etc", "/home", "/opt", "/root", "/srv", "/usr", "/var/cache", "/var/lib", "/var/log", "/var/spool", "/var/www",
}

// clusterTools of the machine are taken out of a host's /usr/bin and /usr/sbin:
// an agent on a lab host that calls one must never reach the machine's cluster.
var clusterTools = []string{
	"attrd_updater", "cibadmin", "cibsecret", "cl_respawn", "cl_status", "corosync*", "crm", "crm_*", "crmadmin",
	"hb_report", "iso8601", "keepalived", "pacemaker*", "pcs", "pcs_*", "pcsd", "sbd", "stonith", "stonith_admin",
}

// devices of the machine that a host has too. Its watchdogs are not among them:
// a host has one of its own.
var devices = []string{
	"null", "zero", "full", "random", "urandom", "tty", "fuse", "loop-control", "loop0", "loop1", "loop2", "loop3",
	"loop4", "loop5", "loop6", "loop7",
}

// mountRoot makes the calling process's mount namespace the host's.
func mountRoot(spec initSpec) error {
	dir := hostDirectory(spec.Dir)
	m := &mounter{}
	m.mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
	m.do("set the host name", unix.Sethostname([]byte(spec.Name)))
	m.kernelFiles(spec)
	m.deviceFiles(spec, dir)
	for _, path := range overlaid {
		if merged := dir.layer("root", path); isDir(merged) {
			m.mount(merged, path, "", unix.MS_BIND|unix.MS_REC, "")
		}
	}
	m.mount("tmpfs", "/run", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755")
	m.makeDirs("/run/lock", "/run/lab", "/etc/ha", "/var/lib/ha")
	m.bind(spec.Power, "/run/lab")
	m.makeDirs(SharedDisk)
	m.bind(spec.Shared, SharedDisk)
	m.bind(dir.sub("ha"), "/var/lib/ha")
	m.bind(dir.sub("etc-ha"), "/etc/ha")
	m.install(spec, dir)
	m.bootID(spec.BootID)
	// The last of what hides the lab's own directory; nothing reaches it from here.
	tmp := openPath(m, dir.sub("tmp"))
	empty := openPath(m, dir.sub("empty"))
	m.bind(tmp.path(), "/tmp")
	m.bind(empty.path(), "/var/tmp")
	tmp.close()
	empty.close()
	m.readOnly("/")
	return m.err
}

// mounter does a series of steps until one fails, and keeps that error.
type mounter struct{ err error }

func (m *mounter) do(what string, err error) {
	if m.err == nil && err != nil {
		m.err = fmt.Errorf("%s: %w", what, err)
	}
}

func (m *mounter) mount(source, target, kind string, flags uintptr, data string) {
	if m.err == nil {
		m.do("mount "+kind+" on "+target, unix.Mount(source, target, kind, flags, data))
	}
}

func (m *mounter) bind(source, target string) {
	if m.err == nil {
		m.do("bind "+source+" to "+target, unix.Mount(source, target, "", unix.MS_BIND, ""))
	}
}

func (m *mounter) makeDirs(paths ...string) {
	for _, path := range paths {
		if m.err == nil {
			m.do("make directory", os.MkdirAll(path, 0o755))
		}
	}
}

func (m *mounter) write(path, text string, mode fs.FileMode) {
	if m.err == nil {
		m.do("write a file", os.WriteFile(path, []byte(text), mode))
	}
}

// readOnly makes one mount read-only, keeping its other options: in a user
// namespace they are locked.
func (m *mounter) readOnly(path string) {
	if m.err != nil {
		return
	}
	var now unix.Statfs_t
	if err := unix.Statfs(path, &now); err != nil {
		m.do("examine "+path, err)
		return
	}
	flags := uintptr(unix.MS_REMOUNT | unix.MS_BIND | unix.MS_RDONLY)
	for _, pair := range []struct{ st, ms uintptr }{
		{unix.ST_NOSUID, unix.MS_NOSUID}, {unix.ST_NODEV, unix.MS_NODEV}, {unix.ST_NOEXEC, unix.MS_NOEXEC},
		{unix.ST_NOATIME, unix.MS_NOATIME}, {unix.ST_NODIRATIME, unix.MS_NODIRATIME}, {unix.ST_RELATIME, unix.MS_RELATIME},
	} {
		if uintptr(now.Flags)&pair.st != 0 {
			flags |= pair.ms
		}
	}
	m.do("make "+path+" read-only", unix.Mount("", path, "", flags, ""))
}

// kernelFiles mounts /proc and /sys of the host. What of them would reach the
// machine as a whole becomes read-only.
func (m *mounter) kernelFiles(spec initSpec) {
	const flags = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	m.mount("proc", "/proc", "proc", flags, "")
	if m.err == nil {
		err := unix.Mount("sysfs", "/sys", "sysfs", flags, "")
		if err != nil && !spec.Unprivileged {
			m.do("mount /sys", err)
		}
		if err == nil && spec.Cgroup {
			// Without it the host only cannot make groups of its own.
			_ = unix.Mount("cgroup2", "/sys/fs/cgroup", "cgroup2", flags, "")
		}
	}
	for _, path := range []string{"/proc/sysrq-trigger", "/proc/sys/kernel", "/proc/sys/vm", "/proc/sys/fs"} {
		if _, err := os.Stat(path); err != nil {
			continue
		}
		m.bind(path, path)
		m.readOnly(path)
	}
}

// deviceFiles makes a /dev of the host's own from device files of the machine.
func (m *mounter) deviceFiles(spec initSpec, dir hostDirectory) {
	dev := dir.sub("dev")
	m.mount("tmpfs", dev, "tmpfs", unix.MS_NOSUID, "mode=755")
	m.makeDirs(dev+"/pts", dev+"/shm", dev+"/net")
	for _, name := range append(devices, "net/tun") {
		if _, err := os.Stat("/dev/" + name); err != nil {
			continue
		}
		m.write(filepath.Join(dev, name), "", 0o666)
		m.bind("/dev/"+name, filepath.Join(dev, name))
	}
	options := "newinstance,ptmxmode=0666,mode=0620"
	if !spec.Unprivileged {
		options += ",gid=5" // the tty group, for which a user namespace has no number
	}
	m.write(dev+"/"+filepath.Base(hostWatchdog), "", 0o600)
	m.bind(dir.watchdog(), dev+"/"+filepath.Base(hostWatchdog))
	m.mount("devpts", dev+"/pts", "devpts", unix.MS_NOSUID|unix.MS_NOEXEC, options)
	m.mount("tmpfs", dev+"/shm", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=1777")
	for name, target := range map[string]string{
		"ptmx": "pts/ptmx", "fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2",
	} {
		if m.err == nil {
			m.do("make /dev/"+name, os.Symlink(target, filepath.Join(dev, name)))
		}
	}
	m.mount(dev, "/dev", "", unix.MS_MOVE, "")
}

// mountDisk mounts the overlays of a host where the host's init process finds
// them. They stay mounted in the supervisor over the host's power cuts, since
// unmounting one writes back the whole file system below it.
func mountDisk(dir hostDirectory, unprivileged bool) error {
	m := &mounter{}
	for _, path := range overlaid {
		if info, err := os.Lstat(path); err == nil && info.IsDir() { // else this machine lacks it, or it leads into another
			m.overlay(dir, path, info.Mode().Perm(), unprivileged)
		}
	}
	return m.err
}

// overlay mounts the overlay of one of the machine's directories. An ordinary user
// cannot have one where something else is mounted further down (a disk, a container's
// root): then each of its entries gets one of its own.
func (m *mounter) overlay(dir hostDirectory, path string, mode fs.FileMode, unprivileged bool) {
	upper, work, merged := dir.layer("disk", path), dir.layer("work", path), dir.layer("root", path)
	m.makeDirs(upper, work, merged)
	for _, own := range []string{"/usr/bin", "/usr/sbin", agentDirectory} { // an ordinary user may change only directories of its own
		if below, ok := strings.CutPrefix(own, path+"/"); ok {
			m.makeDirs(filepath.Join(upper, below))
		}
	}
	if m.err == nil {
		m.do("copy the mode of "+path, os.Chmod(upper, mode))
	}
	if m.err != nil {
		return
	}
	options := "lowerdir=" + path + ",upperdir=" + upper + ",workdir=" + work
	if unprivileged {
		options += ",userxattr"
	}
	err := unix.Mount("overlay", merged, "overlay", 0, options)
	if !unprivileged || !errors.Is(err, unix.EINVAL) {
		m.do("mount an overlay on "+merged, err)
		return
	}
	entries, err := os.ReadDir(path)
	if err != nil { // not for this user: it sees it as it is
		m.bindReadOnly(path, merged)
		return
	}
	m.bind(upper, merged)
	for _, e := range entries {
		from, to := filepath.Join(path, e.Name()), filepath.Join(merged, e.Name())
		switch link, err := os.Readlink(from); {
		case err == nil:
			m.link(to, link)
		case e.IsDir():
			mode := fs.FileMode(0o755)
			if info, err := e.Info(); err == nil {
				mode = info.Mode().Perm()
			}
			m.makeDirs(to)
			m.overlay(dir, from, mode, unprivileged)
			m.mount(dir.layer("root", from), to, "", unix.MS_BIND|unix.MS_REC, "")
		default:
			m.write(to, "", 0o644)
			m.bindReadOnly(from, to)
		}
	}
}

// bindReadOnly shows a file or tree of the machine as it is, with all that is
// mounted in it.
func (m *mounter) bindReadOnly(source, target string) {
	m.mount(source, target, "", unix.MS_BIND|unix.MS_REC, "")
	if m.err == nil {
		m.do("make "+target+" read-only", unix.MountSetattr(unix.AT_FDCWD, target, unix.AT_RECURSIVE, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}))
	}
}

// layer is a directory of the host that belongs to a directory of the machine.
func (d hostDirectory) layer(kind, path string) string {
	return d.sub(kind, strings.ReplaceAll(strings.TrimPrefix(path, "/"), "/", "-"))
}

// install puts the product on the host, once: the binary under its names, the
// host's identity, and none of the machine's own cluster tools.
func (m *mounter) install(spec initSpec, dir hostDirectory) {
	done := dir.sub("installed")
	if _, err := os.Stat(done); m.err == nil && errors.Is(err, fs.ErrNotExist) {
		m.hideClusterTools()
		m.replace("/usr/sbin/ha", "")
		m.link("/usr/sbin/"+faceFence, "ha")
		m.link("/usr/sbin/"+faceServer, "ha")
		m.link("/usr/sbin/"+faceLedger, "ha")
		m.makeDirs(agentDirectory)
		m.link(agentDirectory+"/"+faceGuest, "/usr/sbin/ha")
		id := strings.ReplaceAll(spec.BootID, "-", "") // any random number does
		hosts := "127.0.0.1 localhost\n::1 localhost\n"
		for _, h := range spec.Everyone {
			hosts += h.prefix4(1).Addr().String() + " " + h.Name + "\n"
		}
		m.replace("/etc/hostname", spec.Name+"\n")
		m.replace("/etc/machine-id", id+"\n")
		m.replace("/etc/hosts", hosts)
		m.write(done, "", 0o644)
	}
	m.bind(spec.Binary, "/usr/sbin/ha")
}

// replace writes a file of the host in place of the machine's, which may be a
// link to elsewhere.
func (m *mounter) replace(path, text string) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		m.do("replace "+path, err)
	}
	m.write(path, text, 0o644)
}

func (m *mounter) link(path, target string) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		m.do("replace "+path, err)
	}
	if m.err == nil {
		m.do("link "+path, os.Symlink(target, path))
	}
}

func (m *mounter) hideClusterTools() {
	for _, dir := range []string{"/usr/bin", "/usr/sbin"} {
		for _, pattern := range clusterTools {
			found, err := filepath.Glob(filepath.Join(dir, pattern))
			m.do("look for cluster tools", err)
			for _, path := range found {
				if m.err == nil {
					m.do("hide a cluster tool", os.Remove(path))
				}
			}
		}
	}
}

// bootID shows the host a boot id of its own where the kernel shows its own.
func (m *mounter) bootID(id string) {
	const path = "/proc/sys/kernel/random/boot_id"
	m.write("/run/boot_id", id+"\n", 0o444)
	m.bind("/run/boot_id", path)
	if m.err == nil {
		m.do("hide the file of the boot id", os.Remove("/run/boot_id"))
	}
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// heldPath is a directory that stays reachable when its path is mounted over.
type heldPath struct{ fd int }

func openPath(m *mounter, path string) heldPath {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	m.do("open "+path, err)
	return heldPath{fd: fd}
}

func (h heldPath) path() string { return fmt.Sprintf("/proc/self/fd/%d", h.fd) }
func (h heldPath) close()       { unix.Close(h.fd) }
