/* The ground that guest hypervisors stand on: output, exceptions that are survived, a VMCB that passes all checks, and VMRUN. A program
 * defines `test`; when it returns, the guest ends with status 1. The nested guest runs in the same 64-bit address space. */
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;

struct segment { u16 selector, attributes; u32 limit; u64 base; } __attribute__((packed));
/* AMD64 Architecture Programmer's Manual, volume 2, appendix B. */
struct vmcb {
    u32 intercept_cr, intercept_dr, intercept_exceptions, intercept1, intercept2, intercept3;
    u8  reserved1[0x40 - 0x18];
    u64 iopm, msrpm, tsc_offset;
    u32 asid;
    u32 tlb_control;
    u64 interrupt, interrupt_state;
    u64 exit_code, exit_info1, exit_info2, exit_interrupt;
    u64 nested_control;
    u8  reserved2[0xa8 - 0x98];
    u64 event;
    u64 nested_cr3;
    u64 extensions;
    u64 clean, next_rip;
    u8  instruction_length, instruction[15];
    u8  reserved3[0x400 - 0xe0];
    struct segment es, cs, ss, ds, fs, gs, gdtr, ldtr, idtr, tr;
    u8  reserved4[0x4cb - 0x4a0];
    u8  cpl;
    u32 reserved5;
    u64 efer;
    u8  reserved6[0x548 - 0x4d8];
    u64 cr4, cr3, cr0, dr7, dr6, rflags, rip;
    u8  reserved7[0x5d8 - 0x580];
    u64 rsp;
    u8  reserved8[0x5f8 - 0x5e0];
    u64 rax, star, lstar, cstar, sfmask, kernel_gs_base, sysenter_cs, sysenter_esp, sysenter_eip, cr2;
    u8  reserved9[0x668 - 0x648];
    u64 pat, debug_ctl, branch_from, branch_to, exception_from, exception_to;
    u8  reserved10[0x1000 - 0x698];
} __attribute__((packed));
_Static_assert(sizeof(struct vmcb) == 4096, "a VMCB is a page");
_Static_assert(__builtin_offsetof(struct vmcb, rip) == 0x578, "layout");
_Static_assert(__builtin_offsetof(struct vmcb, branch_from) == 0x678, "layout");

struct frame { u64 vector, error, rip, cs, rflags, rsp, ss; };

extern struct vmcb vmcb;
extern u64 page_map[], fault_vector, fault_error, resume_rip, resume_rsp, resume_rbp;
extern void (*handlers[256])(struct frame *);

enum { EFER = 0xc0000080, VM_CR = 0xc0010114, VM_HSAVE_PA = 0xc0010117, DEBUG_CTL = 0x1d9 };
enum { INTR = 1 << 0, NMI = 1 << 1, VINTR = 1 << 4, MSR_PROT = 1 << 28, SHUTDOWN = 1u << 31, VMRUN = 1 << 0, VMMCALL = 1 << 1 };
enum { EXIT_VMMCALL = 0x81, EXIT_SHUTDOWN = 0x7f, EXIT_EXCEPTION = 0x40, EXIT_NPF = 0x400 };
#define INVALID (~0ul)
/* Where no memory is. */
#define HOLE 0x40000000ul

void say(const char *text);
void hex(u64 value);
/* "name: exit code, info" of the last #VMEXIT. */
void report(const char *name);
/* Makes `vmcb` one that passes all checks and enters `code`. */
void reset_vmcb(void (*code)(void));
/* #VMEXIT leaves GIF clear: it stays so. */
void vmrun(struct vmcb *at);
u64 rdmsr(u32 index);
void wrmsr(u32 index, u64 value);
/* An NMI to this processor. */
void send_nmi(void);
/* The nested guest that does nothing but call. */
void just_call(void);
u64 physical_bits(void);
void test(void);
/* Ends the whole with status 1. */
__attribute__((noreturn)) void finish(void);

static inline void stgi(void) { __asm__ volatile("stgi" ::: "memory"); }
static inline void clgi(void) { __asm__ volatile("clgi" ::: "memory"); }
static inline void vmmcall(void) { __asm__ volatile("vmmcall" ::: "memory"); }

/* Executes `instruction` with rAX = `value`; the vector of the exception that it raises, or -1. */
#define attempt(instruction, value) ({ \
    u64 rax_ = (value); \
    fault_vector = -1ul; \
    __asm__ volatile("movq $1f, resume_rip; mov %%rsp, resume_rsp; mov %%rbp, resume_rbp; " instruction "; 1:" \
        : "+a"(rax_) : : "rcx", "rdx", "rbx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory", "cc"); \
    (long)(fault_vector == -1ul ? -1 : (long)(u32)fault_vector); })
