#!/usr/bin/env bash
# bochs.sh SECONDS PROGRAM [ARGUMENT...]: runs a static program on an emulated processor with AVX-512
# (Bochs, an Ice Lake) and shows what it printed; the exit status is the program's.
#
# 77: something that is needed is not here, named in the last line. 124: no end within SECONDS.
# A Linux kernel is downloaded once and kept in $QUERN_EMULATOR_DIR (default: build/emulator).
set -euo pipefail
limit=$1 program=$2
shift 2
kept=${QUERN_EMULATOR_DIR:-$(dirname "${BASH_SOURCE[0]}")/../../build/emulator}
readonly MODEL=corei7_icelake_u SKIP=77
readonly ISOLINUX=/usr/lib/ISOLINUX/isolinux.bin
readonly LDLINUX=/usr/lib/syslinux/modules/bios/ldlinux.c32
readonly BIOS=/usr/share/bochs/BIOS-bochs-latest VGABIOS=/usr/share/vgabios/vgabios.bin

skip() {
    echo "$*"
    exit $SKIP
}

for tool in bochs busybox xorriso cpio apt-get; do
    command -v $tool > /dev/null || skip "no $tool here"
done
for file in $ISOLINUX $LDLINUX $BIOS $VGABIOS; do
    [ -e "$file" ] || skip "no $file here"
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# ---- the kernel: Debian's smallest, unpacked and not installed --------------------------------------

mkdir -p "$kept"
exec 9> "$kept/lock" # of two that begin at once the other waits
flock 9
if ! compgen -G "$kept/boot/vmlinuz-*" > /dev/null; then
    package=$(apt-cache depends linux-image-cloud-amd64 2> /dev/null |
        awk '/Depends: linux-image/ { print $2; exit }')
    [ -n "$package" ] || skip "no package linux-image-cloud-amd64 here"
    (cd "$work" && apt-get -qq download "$package") > "$work/download.log" 2>&1 ||
        skip "$package cannot be downloaded: $(tail -n 1 "$work/download.log")"
    mkdir "$work/kernel"
    dpkg -x "$work"/*.deb "$work/kernel"
    mkdir -p "$kept/boot"
    mv "$work"/kernel/boot/vmlinuz-* "$kept/boot/"
fi
exec 9>&-

# ---- a disc with the kernel, and the program in a file system in memory -----------------------------

mkdir -p "$work"/root/{bin,dev,proc,tmp} "$work/disc/isolinux"
cp "$(command -v busybox)" "$work/root/bin/busybox"
cp "$program" "$work/root/program"
strip "$work/root/program"
cat > "$work/root/init" <<INIT
#!/bin/busybox sh
/bin/busybox mount -t proc none /proc
/bin/busybox mount -t devtmpfs none /dev
exec > /dev/ttyS0 2>&1
OMP_NUM_THREADS=1 /program $*
echo "exit status \$?"
/bin/busybox sleep 0.1
/bin/busybox poweroff -f
INIT
chmod +x "$work/root/init"
(cd "$work/root" && find . | cpio --create --format=newc --quiet) > "$work/disc/initrd"
cp "$kept"/boot/vmlinuz-* "$work/disc/vmlinuz"
cp $ISOLINUX $LDLINUX "$work/disc/isolinux/"

# Without cleared pku, xsaves and xsavec Linux takes Bochs's save area for broken and turns AVX off; its
# memmove never ends if told of fsrm. The kernel's own tests of its ciphers would take longer than ours.
cat > "$work/disc/isolinux/isolinux.cfg" <<'BOOT'
default quern
prompt 0
label quern
  kernel /vmlinuz
  initrd /initrd
  append console=ttyS0,115200 quiet panic=-1 mitigations=off tsc=reliable random.trust_cpu=on cryptomgr.notests=1 clearcpuid=aperfmperf,pku,xsaves,xsavec,fsrm
BOOT
xorriso -as mkisofs -quiet -o "$work/disc.iso" -b isolinux/isolinux.bin -c isolinux/boot.cat \
    -no-emul-boot -boot-load-size 4 -boot-info-table "$work/disc" 2> "$work/xorriso.log"

# ---- the machine ------------------------------------------------------------------------------------

# The display goes to a terminal that nobody sees; the alternative, rfb, would listen to the network.
cat > "$work/bochsrc" <<MACHINE
config_interface: textconfig
display_library: term
cpu: model=$MODEL, count=1, ips=200000000, reset_on_triple_fault=0, ignore_bad_msrs=1
megs: 256
romimage: file=$BIOS, options=fastboot
vgaromimage: file=$VGABIOS
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=cdrom, path="$work/disc.iso", status=inserted
boot: cdrom
clock: sync=none, time0=local
com1: enabled=1, mode=file, dev=$work/serial
log: $work/bochs.log
panic: action=fatal
error: action=ignore
info: action=ignore
debug: action=ignore
MACHINE
echo c > "$work/debugger" # Debian's Bochs stops at its debugger's prompt: go on
status=0
TERM=xterm timeout -k 5 "$limit" bochs -q -f "$work/bochsrc" -rc "$work/debugger" \
    > /dev/null 2>&1 < /dev/null || status=$?

# Bochs ends with 1 even after a clean power-off: what counts is what came over the serial line.
[ -s "$work/serial" ] || { echo "nothing came out of the emulator"; tail -n 5 "$work/bochs.log"; exit 1; }
tr -d '\r' < "$work/serial"
ended=$(tr -d '\r' < "$work/serial" | sed -n 's/^exit status \([0-9]*\)$/\1/p')
[ -n "$ended" ] && exit "$ended"
[ $status -ne 124 ] || echo "no end within $limit s"
exit $((status ? status : 1))
