import type { LucideIcon } from "lucide-react";
import type { ComponentProps, ReactElement } from "react";

type Look = "plain" | "primary" | "danger" | "quiet";

export type ButtonProps = Omit<ComponentProps<"button">, "className"> & {
  readonly look?: Look;
  readonly icon?: LucideIcon;
  /** The request is under way: the button is disabled until it ends. */
  readonly busy?: boolean;
};

export function Button({
  look = "plain",
  icon: Icon,
  busy = false,
  children,
  ...rest
}: ButtonProps): ReactElement {
  return (
    <button
      type="button"
      {...rest}
      className={`button ${look}`}
      disabled={busy || rest.disabled}
      aria-busy={busy}
    >
      {Icon !== undefined && <Icon size={16} aria-hidden />}
      {children}
    </button>
  );
}

export type IconButtonProps = Omit<ComponentProps<"button">, "className" | "children" | "aria-label"> & {
  readonly icon: LucideIcon;
  /** The accessible name and the tooltip. */
  readonly label: string;
};

export function IconButton({ icon: Icon, label, ...rest }: IconButtonProps): ReactElement {
  return (
    <button type="button" title={label} {...rest} className="button quiet icon-only" aria-label={label}>
      <Icon size={16} aria-hidden />
    </button>
  );
}
