/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vzmon: one a VPS, init's parent. Started by vzctl with the control socket as descriptor 3. */
#include "context/gate.h"
#include "context/mon.h"

int main(void)
{
	gate_main(); /* returns when we are not CRIU's action script */
	return mon_main(3);
}
