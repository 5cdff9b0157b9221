// SPDX-License-Identifier: GPL-2.0
/*
 * QEMU's emulation with one thread per CPU may run a breakpoint that the kernel
 * has already patched away: a CPU keeps a translation with the breakpoint in it
 * although another CPU has replaced the code. The kernel knows of no such
 * breakpoint then and dies of "int3". Here the code is looked at once more, and
 * what stands there now is done in the breakpoint's place, as the kernel does
 * for breakpoints that it knows of (smp_text_poke_int3_handler). Running it
 * again would be no help: the translation may still be the old one.
 */
#include <linux/kdebug.h>
#include <linux/module.h>
#include <linux/ptrace.h>
#include <linux/unaligned.h>
#include <asm/text-patching.h>

static atomic_t gone = ATOMIC_INIT(0);

/* What the kernel patches: static keys, static calls, function tracing. */
static bool do_instead(struct pt_regs *regs, const u8 *at)
{
	const unsigned long next2 = (unsigned long)at + JMP8_INSN_SIZE;
	const unsigned long next5 = (unsigned long)at + JMP32_INSN_SIZE;
	const s32 far = get_unaligned((s32 *)(at + 1));
	static const u8 nop2[] = { 0x66, 0x90 };
	static const u8 nop5[] = { 0x0f, 0x1f, 0x44, 0x00, 0x00 };
	/* xor %rax, %rax: a static call of what returns zero */
	static const u8 zero5[] = { 0x66, 0x66, 0x48, 0x31, 0xc0 };

	switch (at[0]) {
	case JMP8_INSN_OPCODE:
		int3_emulate_jmp(regs, next2 + (s8)at[1]);
		return true;
	case JMP32_INSN_OPCODE:
		int3_emulate_jmp(regs, next5 + far);
		return true;
	case CALL_INSN_OPCODE:
		int3_emulate_push(regs, next5);
		int3_emulate_jmp(regs, next5 + far);
		return true;
	case RET_INSN_OPCODE:
		int3_emulate_ret(regs);
		return true;
	}
	if (!memcmp(at, nop2, sizeof(nop2))) {
		int3_emulate_jmp(regs, next2);
		return true;
	}
	if (!memcmp(at, nop5, sizeof(nop5))) {
		int3_emulate_jmp(regs, next5);
		return true;
	}
	if (!memcmp(at, zero5, sizeof(zero5))) {
		regs->ax = 0;
		int3_emulate_jmp(regs, next5);
		return true;
	}
	return false;
}

static int on_breakpoint(struct notifier_block *block, unsigned long event,
			 void *data)
{
	struct pt_regs *regs = ((struct die_args *)data)->regs;
	const u8 *at;

	if (event != DIE_INT3 || !regs || user_mode(regs))
		return NOTIFY_DONE;
	at = (const u8 *)(regs->ip - INT3_INSN_SIZE);
	if (READ_ONCE(*at) == INT3_INSN_OPCODE || !do_instead(regs, at))
		return NOTIFY_DONE;
	atomic_inc(&gone);
	return NOTIFY_STOP;
}

static struct notifier_block notifier = { .notifier_call = on_breakpoint };

static int gone_get(char *buffer, const struct kernel_param *param)
{
	return sprintf(buffer, "%d\n", atomic_read(&gone));
}

static const struct kernel_param_ops gone_ops = { .get = gone_get };
module_param_cb(gone, &gone_ops, NULL, 0444);
MODULE_PARM_DESC(gone, "Breakpoints that were run after they had gone");

static int __init lab_int3_init(void)
{
	return register_die_notifier(&notifier);
}

static void __exit lab_int3_exit(void)
{
	unregister_die_notifier(&notifier);
}

module_init(lab_int3_init);
module_exit(lab_int3_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Breakpoints that QEMU runs after they have gone");
